"""Emits the records about the admission of a step: the case for decide, and the audit records of its wait."""

from datetime import UTC, datetime, timedelta

from nightdesk.processors.ledger import Fact
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import Case
from nightdesk.schemas.topics import DECIDE
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.waiting_rows import WaitingRow


def audit_waiting(row: WaitingRow, writes: StagedWrites) -> None:
    """Record that a step begins to wait."""
    if not row.was_probe:
        writes.audit(audit_records.deferred(row.case, row, row.traceparent))


def emit_resumed(row: WaitingRow, fact: Fact, writes: StagedWrites) -> None:
    """Record that a step that waited goes on. For a probe nothing is recorded, because it only finds out whether it
    may.
    """
    writes.continue_trace(row.traceparent)
    if fact.state != "refused" and not fact.is_probe:
        writes.audit(audit_records.resumed(row.case, row.since, row.traceparent, fact.at))
    case = row.case
    if row.gate == "unavailable" and case.waits_since is None:  # what it waited before its own question counts, too
        case = case.model_copy(update={"waits_since": datetime.fromtimestamp(row.since, UTC)})
    emit_admission(fact, case, writes)


def emit_admission(fact: Fact, case: Case, writes: StagedWrites) -> None:
    """Emit the records that follow from a fact, always the same ones. Decide already has the case of a step that was
    given back.
    """
    if fact.state == "refused":
        at = datetime.fromtimestamp(fact.at, UTC)
        writes.audit(audit_records.refused(case, fact.cause, fact.reason, writes.traceparent, at))
    elif fact.state != "returned" and fact.returns == case.returns:
        writes.emit(DECIDE, case.model_copy(update=_terms(fact, case)))


def too_long(row: WaitingRow) -> str:
    """The reason why a person gets a step that has waited for too long."""
    since = datetime.fromtimestamp(row.since, UTC)
    return f"it has waited since {since:%Y-%m-%d %H:%M:%S} UTC, which is too long: {row.reason}"


def _terms(fact: Fact, case: Case) -> dict[str, object]:
    """The case's reservation, or the reason why a person gets it."""
    if fact.state == "escalated":
        return {"reserved_microusd": 0, "escalate_because": fact.reason, "cause": fact.cause}
    held = fact.reserved_microusd
    # An order stops the clock, so decide must count from a start that is later by the duration of the order.
    since = case.waits_since and case.waits_since + timedelta(seconds=fact.paused_s)
    return {
        "waits_since": since,
        "reserved_microusd": case.spent.cost_microusd + held if held else 0,
        "budget_day": fact.day,
        "closed_actions": fact.closed_actions,
        "rules_because": fact.reason,
        "cause": fact.cause,
    }
