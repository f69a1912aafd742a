"""Decides about a step that asks for money, once every other gate is open."""

from collections.abc import Callable, Mapping
from datetime import datetime

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.ledger.account import Account
from nightdesk.processors.ledger.facts import Fact, day_of
from nightdesk.processors.ledger.reserving import BudgetPolicy, Granted, Withheld, held_for_s, policy_for, reserve
from nightdesk.schemas.records import Case, StepCause

# A reason says for how long an event lay in Kafka, if that was longer than the ordinary wait for a worker.
UNREAD_UNREMARKED_S = 60.0


def admit_step(
    account: Account,
    compiled: CompiledCharter,
    case: Case,
    known: Fact | None,
    amount_microusd: int,
    now: datetime,
    *,
    is_urgent: bool = False,
) -> Fact | Withheld:
    """The fact of a step that is admitted (open, or settled if it costs nothing), escalated or refused; or why it has
    to wait. `amount_microusd` is its worst price; `known` is its earlier fact, if it was given back.
    """
    policy = policy_for(compiled.charter, case.event.type, begins=begins(case), is_urgent=is_urgent)
    verdict = _reserve_again(account, policy, known, amount_microusd, now)
    if isinstance(verdict, Granted):
        # A step that was given back keeps its place in the agent's rate.
        at = now.timestamp() if known is None else known.at
        return _fact(case, at, day_of(now, policy.zone), _granted(verdict, compiled.charter, now))
    when_spent = compiled.charter.budget.when_spent
    if verdict.gate != "spent" or when_spent == "defer":
        return verdict
    return WHEN_SPENT[when_spent](case, "spent", verdict.reason, now)


def _reserve_again(
    account: Account, policy: BudgetPolicy, known: Fact | None, amount_microusd: int, now: datetime
) -> Granted | Withheld:
    """Reserve as if there were no earlier fact, because the amount includes what the step has cost already."""
    if known is None:
        return reserve(account, policy, amount_microusd, now)
    account.replace(known, None)
    verdict = reserve(account, policy, amount_microusd, now)
    account.replace(None, known)
    return verdict


def end_stale(charter: Charter, case: Case, now: datetime) -> Fact | None:
    """The end of a case that is too old to begin: a person gets it, or it is refused. None for any other case."""
    age_s = (now - case.aged_from).total_seconds()
    if case.step or age_s <= charter.queue.stale_after:
        return None
    at_most = _hours(charter.queue.stale_after)
    unread_s = (case.received_at - case.aged_from).total_seconds()
    unread = f", was read after {_hours(unread_s)}" if unread_s >= UNREAD_UNREMARKED_S else ""
    reason = f"the event came {_hours(age_s)} ago{unread}, and a case begins within {at_most} (queue.stale_after)"
    end = escalate_step if charter.queue.when_stale == "escalate" else refuse_step
    return end(case, "stale", reason, now)


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours"


def begins(case: Case) -> bool:
    """Whether the case begins with this step. A step that was given back has begun."""
    return case.step == 0 and not case.returns


def escalate_step(case: Case, cause: StepCause, reason: str, now: datetime) -> Fact:
    """The fact of a step that a person gets, independent of the budget."""
    return _fact(case, now.timestamp(), day_of(now), {"state": "escalated", "cause": cause, "reason": reason})


def leave_to_rules(case: Case, cause: StepCause, reason: str, now: datetime) -> Fact:
    """The fact of a step that the charter's rules decide, which costs nothing."""
    return _fact(case, now.timestamp(), day_of(now), {"state": "settled", "cause": cause, "reason": reason})


def refuse_step(case: Case, cause: StepCause, reason: str, now: datetime) -> Fact:
    """The fact of a step that never starts."""
    return _fact(case, now.timestamp(), day_of(now), {"state": "refused", "cause": cause, "reason": reason})


def _fact(case: Case, at: float, day: str, verdict: dict[str, object]) -> Fact:
    return Fact.model_validate(
        {
            "agent": case.agent,
            "case_id": case.case_id,
            "step": case.step,
            "day": day,
            "at": at,
            "event_type": case.event.type,
            "returns": case.returns,
            "spent_microusd": case.returned_microusd,
            **verdict,
        }
    )


def _granted(verdict: Granted, charter: Charter, now: datetime) -> dict[str, object]:
    # Nothing is reserved, so there is nothing to settle.
    return {
        "state": "open" if verdict.amount_microusd else "settled",
        "until": now.timestamp() + held_for_s(charter),
        "reserved_microusd": verdict.amount_microusd,
        "held_actions": verdict.held_actions,
        "closed_actions": verdict.closed_actions,
    }


WHEN_SPENT: Mapping[str, Callable[[Case, StepCause, str, datetime], Fact]] = {
    "rules": leave_to_rules,
    "escalate": escalate_step,
    "refuse": refuse_step,
}
