"""Undos that failed: what was done stands and should not, and nothing of ours can change that by itself.

Asked by the act stage at the end of a playbook. Such an end is a dead letter with the whole decision on `act.dlq`, a
line in the audit, one in the log and a count, so that somebody hears of it. Replaying the letter tries the failed undos
again, and nothing else.
"""

import logging
from datetime import datetime
from importlib.metadata import version

from processors.playbook import Ending
from schemas import dead_letters, ids
from schemas.records import AuditRecord, DeadLetter
from schemas.topics import ACT
from streams.runtime.metrics import DEAD_LETTERS, UNDOS_FAILED
from streams.runtime.producer import Message
from streams.stages.errands import Errand

log = logging.getLogger(__name__)
ERROR = "UndoFailed"


def bury_failed(errand: Errand, ending: Ending, now: datetime) -> None:
    """The dead letter of a decision of which something could not be taken back, if there is any."""
    failed = [outcome.handler for outcome in ending.outcomes if outcome.status == "undo_failed"]
    if not failed:
        return
    decision, changes = errand.decision, errand.changes
    letter = _letter(errand, ending, now)
    headers = (*changes.headers, *dead_letters.headers(letter, changes.codec))
    topic, value = changes.topic_prefix + ACT.dlq, changes.codec.encode(decision)
    changes.messages.append(Message(topic, decision.subject.encode(), value, headers))
    changes.audit(dead_letters.buried(letter, decision))
    log.error("case %s of %s: %s", decision.case.case_id, decision.subject, letter.message)
    DEAD_LETTERS.labels(stage="act", topic=ACT.name, error=ERROR).inc()
    for handler in failed:
        UNDOS_FAILED.labels(agent=decision.case.agent, handler=handler).inc()


def of_a_replay(acted: AuditRecord, replays: int) -> AuditRecord:
    """The audit's line of a decision that was sent again: not the first one's, which readers have."""
    if not replays:
        return acted
    return acted.model_copy(update={"record_id": ids.record_id("acted", str(acted.decision_id), str(replays))})


def _letter(errand: Errand, ending: Ending, now: datetime) -> DeadLetter:
    decision, replays = errand.decision, errand.kept.replays
    before = ids.undo_letter_id(decision.decision_id, replays - 1) if replays else None
    return DeadLetter(
        dead_letter_id=ids.undo_letter_id(decision.decision_id, replays),
        stage="act",
        topic=ACT.name,
        partition=errand.changes.partition,
        offset=int(errand.place.rpartition(":")[2]),
        timestamp_ms=int(decision.decided_at.timestamp() * 1000),
        error=ERROR,
        message=ending.reason,
        traceback="",
        attempts=replays + 1,
        subject=decision.subject,
        case_id=decision.case.case_id,
        program_version=version("nightdesk"),
        time=now,
        attempted="taking back what was done",
        replay_of=before,
        original_headers=len(errand.changes.headers),
    )
