"""The lines of the ledger, each made where something happens to a step's money. Called by the stages."""

from datetime import UTC, datetime

from processors.ledger.facts import Fact
from schemas import ids
from schemas.records import BudgetEntry, Case, Decision


def asking(case: Case, now: datetime) -> BudgetEntry:
    """The next step of a case asks for money: by ingest for the first, by act for those after it."""
    return BudgetEntry(
        entry_id=ids.entry_id(case.case_id, "reserve", case.step),
        kind="reserve",
        agent=case.agent,
        case_id=case.case_id,
        amount_microusd=0,
        time=now,
        case=case,
        step=case.step,
        event_type=case.event.type,
    )


def settling(decision: Decision, *, low_confidence: bool) -> BudgetEntry:
    """What the step cost, and on what; by decide. A decision that was turned down was for no action."""
    case = decision.case
    return BudgetEntry(
        entry_id=ids.entry_id(case.case_id, "settle", case.step),
        kind="settle",
        agent=case.agent,
        case_id=case.case_id,
        amount_microusd=decision.cost_microusd,
        tokens=decision.input_tokens + decision.output_tokens,
        time=decision.decided_at,
        step=case.step,
        day=case.budget_day,
        event_type=case.event.type,
        action="" if decision.disposition == "refused" else decision.action,
        low_confidence=low_confidence,
    )


def ended(decision: Decision, now: datetime, *, failed: bool) -> BudgetEntry:
    """How the step's playbook went; by act, where the charter has a bound on errors."""
    case = decision.case
    return BudgetEntry(
        entry_id=ids.entry_id(case.case_id, "ended", case.step),
        kind="ended",
        agent=case.agent,
        case_id=case.case_id,
        amount_microusd=0,
        time=now,
        step=case.step,
        day=case.budget_day,
        event_type=case.event.type,
        action=decision.action,
        failed=failed,
    )


def expiring(fact: Fact) -> BudgetEntry:
    """Nobody said in time what the step cost; by budget, to itself."""
    return BudgetEntry(
        entry_id=ids.entry_id(fact.case_id, "expire", fact.step),
        kind="expire",
        agent=fact.agent,
        case_id=fact.case_id,
        amount_microusd=fact.reserved_microusd,
        time=datetime.fromtimestamp(fact.until, UTC),
        step=fact.step,
        day=fact.day,
        event_type=fact.event_type,
    )
