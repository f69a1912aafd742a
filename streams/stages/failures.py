"""Sends to the DLQ what no person would get otherwise: a decision whose action, undo or escalation failed, or a case
that should go to a person although its charter has no escalation.

The letter on `act.dlq` has the whole decision, and an audit record, a log line and a metric make a person notice it. A
replay tries failed undos again and nothing else. Without failed undos it executes the action again from its beginning.
If nobody answered the approval, a replay asks again. A case that the decide stage cannot escalate is on `decide.dlq`; a
replay decides it again with the recorded replies.
"""

import logging
from datetime import datetime

from nightdesk.processors.ledger.entries import closing_by_dead_letter
from nightdesk.processors.playbook import Ending, failure
from nightdesk.schemas import audit_records, dead_letters, ids
from nightdesk.schemas.program import program_version
from nightdesk.schemas.records import AuditRecord, Case, DeadLetter, Decision
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE
from nightdesk.streams.api import Delivery, StagedWrites
from nightdesk.streams.metrics import DEAD_LETTERS, UNDOS_FAILED
from nightdesk.streams.stages.execution import ExecutionTask

log = logging.getLogger(__name__)
ATTEMPTED = {
    failure.UNDO_FAILED: "undoing completed steps",
    failure.ACTION_FAILED: "carrying out the action",
    failure.ESCALATION_FAILED: "escalating the case to a person",
    failure.NOBODY_ANSWERED: "asking a person to approve",
    failure.NO_ESCALATION: "giving the case to a person",
}


def send_to_dlq(task: ExecutionTask, ending: Ending, now: datetime) -> None:
    """The dead letter of the decision, if it becomes one."""
    if not ending.dead_letter:
        return
    decision, writes = task.execution.decision, task.writes
    letter = _letter(task, ending, now)
    key, value = decision.subject.encode(), writes.codec.encode(decision)
    writes.send_to_dlq(ACT, key, value, dead_letters.headers(letter, writes.codec))
    _tell(letter, decision, writes)
    for outcome in ending.outcomes:
        if outcome.status == "undo_failed":
            UNDOS_FAILED.labels(agent=decision.case.agent, handler=outcome.handler).inc()


def send_case_to_dlq(decision: Decision, delivery: Delivery[Case], writes: StagedWrites, now: datetime) -> None:
    """Send a case to the DLQ that nobody decides, because its charter has no escalation. The ledger gets an entry that
    its step failed.
    """
    value = writes.codec.encode(delivery.record)
    replayed = delivery.replay_of
    letter = DeadLetter(
        dead_letter_id=(
            ids.next_dead_letter_id(replayed, value) if replayed else ids.decision_letter_id(decision.decision_id, 0)
        ),
        stage="decide",
        topic=DECIDE.name,
        partition=delivery.partition,
        offset=delivery.offset,
        timestamp_ms=int(now.timestamp() * 1000),
        error=failure.NO_ESCALATION,
        message=f"{decision.reasoning}. The charter has no action of kind escalate",
        traceback="",
        attempts=delivery.attempts,
        subject=decision.subject,
        case_id=decision.case.case_id,
        program_version=program_version(),
        time=now,
        attempted=ATTEMPTED[failure.NO_ESCALATION],
        replay_of=replayed,
        original_headers=len(writes.headers),
    )
    writes.send_to_dlq(DECIDE, decision.subject.encode(), value, dead_letters.headers(letter, writes.codec))
    writes.emit(BUDGET, closing_by_dead_letter(decision.case, now))
    _tell(letter, decision, writes)


def _tell(letter: DeadLetter, decision: Decision, writes: StagedWrites) -> None:
    writes.audit(audit_records.dead_lettered(letter, decision))
    log.error("case %s of %s: %s", decision.case.case_id, decision.subject, letter.message)
    DEAD_LETTERS.labels(stage=letter.stage, topic=letter.topic, error=letter.error).inc()


def of_a_replay(acted: AuditRecord, replays: int) -> AuditRecord:
    """The audit record of a replayed decision, with an id of its own because readers already have the first one."""
    if not replays:
        return acted
    return acted.model_copy(update={"record_id": ids.record_id("acted", str(acted.decision_id), str(replays))})


def _letter(task: ExecutionTask, ending: Ending, now: datetime) -> DeadLetter:
    decision, replays = task.execution.decision, task.execution.state.replays
    before = ids.decision_letter_id(decision.decision_id, replays - 1) if replays else None
    return DeadLetter(
        dead_letter_id=ids.decision_letter_id(decision.decision_id, replays),
        stage="act",
        topic=ACT.name,
        partition=task.writes.partition,
        offset=int(task.place.rpartition(":")[2]),
        timestamp_ms=int(decision.decided_at.timestamp() * 1000),
        error=ending.dead_letter,
        message=ending.reason,
        traceback="",
        attempts=replays + 1,
        subject=decision.subject,
        case_id=decision.case.case_id,
        program_version=program_version(),
        time=now,
        attempted=ATTEMPTED[ending.dead_letter],
        replay_of=before,
        original_headers=len(task.writes.headers),
    )
