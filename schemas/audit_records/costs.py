"""The audit records about the cost of a step that was claimed to be too high, or that a person corrected."""

from nightdesk.schemas import ids
from nightdesk.schemas.audit import StepCostDetail
from nightdesk.schemas.money import money
from nightdesk.schemas.persons import shown_person
from nightdesk.schemas.records import AuditRecord, BudgetEntry


def claim(held_microusd: int, claimed_microusd: int) -> str:
    """Text for people: what a step is claimed to have cost, and how much of that counts."""
    return (
        f"claimed to have cost {money(claimed_microusd)}, but {money(held_microusd)} was held: only that counts until a"
        " person corrects the cost"
    )


def beyond_held(entry: BudgetEntry, held_microusd: int, claimed_microusd: int, traceparent: str) -> AuditRecord:
    """A provider claims more than the highest price of what it was asked."""
    detail = StepCostDetail(case_id=entry.case_id, held_microusd=held_microusd, claimed_microusd=claimed_microusd)
    return _of_step(entry, claim(held_microusd, claimed_microusd), detail, traceparent)


def corrected(entry: BudgetEntry, held_microusd: int, claimed_microusd: int, traceparent: str) -> AuditRecord:
    """A person corrected the cost of a step."""
    detail = StepCostDetail(
        case_id=entry.case_id,
        held_microusd=held_microusd,
        claimed_microusd=claimed_microusd,
        corrected_microusd=entry.amount_microusd,
        person=entry.person,
    )
    reason = f"corrected to {money(entry.amount_microusd)} by {shown_person(entry.person)}: {entry.reason}"
    return _of_step(entry, reason, detail, traceparent)


def _of_step(entry: BudgetEntry, reason: str, detail: StepCostDetail, traceparent: str) -> AuditRecord:
    """The fields about the step. `status` is empty, because another record of the same step says how the case
    continues.
    """
    return AuditRecord(
        record_id=ids.record_id("budget", entry.entry_id),
        kind="budget",
        time=entry.time,
        subject=entry.agent,
        agent=entry.agent,
        step=entry.step,
        status="ignored",
        reason=reason,
        detail=detail.model_dump_json(),
        traceparent=traceparent,
    )
