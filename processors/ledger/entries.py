"""Builds the entries of the ledger: one function for each thing that can happen to a step's money."""

from datetime import UTC, datetime
from typing import Literal

from nightdesk.processors.ledger.facts import Fact
from nightdesk.schemas import ids
from nightdesk.schemas.records import BudgetEntry, Case, Decision


def reservation(case: Case, now: datetime) -> BudgetEntry:
    """The next step of a case asks for money: by ingest for the first step, by act for later ones, by budget for a step
    that decide gave back.
    """
    return BudgetEntry(
        entry_id=ids.entry_id(case.case_id, "reserve", case.step, case.returns),
        kind="reserve",
        agent=case.agent,
        case_id=case.case_id,
        amount_microusd=0,
        time=now,
        case=case,
        step=case.step,
        event_type=case.event.type,
    )


def settlement(decision: Decision) -> BudgetEntry:
    """The cost of the step and its action, by decide. A decision that the gates turned down has no action."""
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
        low_confidence=decision.low_confidence,
        refused=refusal(decision),
        undecided=decision.is_undecided,
        latency_ms=decision.latency_ms,
    )


def returned(
    case: Case,
    cause: Literal["unavailable", "paused"],
    reason: str,
    cost_microusd: int,
    now: datetime,
    retry_after_s: int = 0,
) -> BudgetEntry:
    """The step cannot be decided now, by decide. `cost_microusd` is all that it may have cost so far, earlier returns
    included; `retry_after_s` is how long no provider can answer.
    """
    so_far_microusd = max(case.returned_microusd, cost_microusd)
    again = {
        "returns": case.returns + 1,
        "returned_microusd": so_far_microusd,
        # An order neither begins nor ends a wait for a model, so the time that was waited before it counts.
        "waits_since": (case.waits_since or now) if cause == "unavailable" else case.waits_since,
    }
    return BudgetEntry(
        entry_id=ids.entry_id(case.case_id, "returned", case.step, case.returns + 1),
        kind="returned",
        agent=case.agent,
        case_id=case.case_id,
        amount_microusd=so_far_microusd,
        time=now,
        case=case.model_copy(update=again),
        step=case.step,
        day=case.budget_day,
        event_type=case.event.type,
        reason=reason,
        cause=cause,
        retry_after_s=retry_after_s,
    )


def refusal(decision: Decision) -> bool:
    """Whether the gates turned the decision down, or a model declined to answer."""
    return decision.disposition == "refused" or any(passed.reason == "refused" for passed in decision.fallbacks)


def closing(decision: Decision, now: datetime, *, failed: bool) -> BudgetEntry:
    """How the step's playbook ended, by act, if the charter has a bound on errors."""
    return _closing(decision.case, now, action=decision.action, failed=failed)


def closing_by_dead_letter(case: Case, now: datetime) -> BudgetEntry:
    """The step became a dead letter, in whichever stage."""
    return _closing(case, now, action="", failed=True)


def _closing(case: Case, now: datetime, *, action: str, failed: bool) -> BudgetEntry:
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
        action=action,
        failed=failed,
    )


def correction(fact: Fact, microusd: int, person: str, reason: str, now: datetime) -> BudgetEntry:
    """The step's cost by a person, from `nightdesk budget correct`."""
    return BudgetEntry(
        entry_id=ids.entry_id(fact.case_id, f"correct {now.isoformat()}", fact.step),
        kind="correct",
        agent=fact.agent,
        case_id=fact.case_id,
        amount_microusd=microusd,
        time=now,
        step=fact.step,
        day=fact.day,
        event_type=fact.event_type,
        person=person,
        reason=reason,
    )


def expiry(fact: Fact) -> BudgetEntry:
    """The step was not settled in time; by budget, to itself."""
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
