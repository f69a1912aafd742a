"""A step asks for money: the fact that comes of it. Called by the budget stage for every `reserve`."""

from datetime import datetime

from processors import prices
from processors.charter.compiled import CompiledCharter
from processors.charter.model import Charter
from processors.ledger.account import Account
from processors.ledger.facts import Fact, day_of
from processors.ledger.reserving import Granted, Withheld, held_for_s, policy_for, reserve, worst_price_microusd
from schemas.records import Case


def judge(account: Account, compiled: CompiledCharter, case: Case, known: Fact | None, now: datetime) -> Fact:
    """Open, deferred, escalated or refused. `known` is its fact where it was deferred before."""
    return Fact.model_validate(
        {
            "agent": case.agent,
            "case_id": case.case_id,
            "step": case.step,
            "day": day_of(now),
            "at": now.timestamp(),
            "tries": known.tries + 1 if known else 1,
            "until": now.timestamp() + held_for_s(compiled.charter),
            "event_type": case.event.type,
            **_verdict(account, compiled, case, known, now),
        }
    )


def _verdict(
    account: Account, compiled: CompiledCharter, case: Case, known: Fact | None, now: datetime
) -> dict[str, object]:
    try:
        amount = worst_price_microusd(compiled, case, now)
    except prices.UnknownPrice as error:
        return {"state": "refused", "reason": str(error)}
    # A case that waits already does not wait behind itself.
    account.deferred -= known is not None
    verdict = reserve(account, policy_for(compiled.charter, case), amount, now)
    account.deferred += known is not None
    return _granted(verdict) if isinstance(verdict, Granted) else _withheld(verdict, compiled.charter)


def _granted(verdict: Granted) -> dict[str, object]:
    # Nothing held, nothing to settle.
    return {
        "state": "open" if verdict.amount_microusd else "settled",
        "reserved_microusd": verdict.amount_microusd,
        "held_actions": verdict.held_actions,
        "closed_actions": verdict.closed_actions,
    }


def _withheld(verdict: Withheld, charter: Charter) -> dict[str, object]:
    when_spent = charter.budget.when_spent if verdict.spent else "defer"
    if when_spent == "defer":
        return {"state": "deferred", "reason": verdict.reason, "until": verdict.until}
    return {"state": "escalated" if when_spent == "escalate" else "refused", "reason": verdict.reason}
