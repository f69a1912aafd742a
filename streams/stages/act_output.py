"""Emits the records of the act stage: the end of a decision, or the timer with which it comes back."""

from datetime import datetime, timedelta

from nightdesk.processors import playbook
from nightdesk.processors.ledger.entries import closing, reservation
from nightdesk.processors.playbook import Ending
from nightdesk.schemas import audit_records, ids
from nightdesk.schemas.records import Case
from nightdesk.schemas.topics import ACT, BUDGET, DECIDE, TIMERS
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.execution import ExecutionTask
from nightdesk.streams.stages.failures import of_a_replay, send_to_dlq
from nightdesk.streams.stages.timer_records import as_timer


def emit_end(task: ExecutionTask, ending: Ending, now: datetime) -> None:
    """Emit the end of the decision: its audit record, its dead letter if it becomes one, timers, and the next step."""
    execution, writes = task.execution, task.writes
    decision, state = execution.decision, execution.state
    outcomes = (*state.earlier, *ending.outcomes)
    acted = audit_records.acted(decision, outcomes, ending.status, ending.reason, task.traceparent, now)
    writes.audit(of_a_replay(acted, state.replays))
    send_to_dlq(task, ending, now)
    for timer in ending.timers:
        writes.emit(TIMERS, as_timer(timer, writes.codec, task.traceparent))
    if execution.compiled.charter.watches_errors and ending.status != "refused":
        writes.emit(BUDGET, closing(decision, now, failed=ending.has_failed))
    if ending.next_case is not None:
        _go_on(ending.next_case, writes, now)


def _go_on(case: Case, writes: StagedWrites, now: datetime) -> None:
    """Start the next step of a case. It asks for money first, unless it escalates."""
    if case.escalate_because:
        writes.emit(DECIDE, case)
    else:
        writes.emit(BUDGET, reservation(case, now))


def emit_again_later(task: ExecutionTask, after_s: float, reason: str, now: datetime, *, is_new: bool) -> None:
    """Emit the same decision again later. A delivery does so at most once, so that its redelivery sets no second timer.
    The audit gets a record if the wait `is_new`.
    """
    decision = task.execution.decision
    timer = playbook.TimerRequest(
        timer_id=ids.timer_id("retry", decision.decision_id, task.place),
        subject=decision.subject,
        due_at=now + timedelta(seconds=after_s),
        topic=ACT.name,
        record=task.execution.received,
        reason=f"again: {reason}",
        case_id=decision.case.case_id,
    )
    task.writes.emit(TIMERS, as_timer(timer, task.writes.codec, task.traceparent))
    if is_new:
        task.writes.audit(audit_records.queued(decision, timer, task.place, task.traceparent, now))
