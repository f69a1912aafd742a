"""Whether a step may begin: its worst price is held, in every purse that it may be spent from, or it is withheld.

An action is only known when it is decided, so what a step may cost is held in the purse of every capped action that has
room for it. One that has none is closed to the step: the gates turn a decision for it down (`gate.py`). So a capped
action is never overspent either, whatever the cases that are open at once decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from processors import prices, prompts
from processors.charter.allowances import Budget
from processors.charter.compiled import CompiledCharter
from processors.charter.model import Charter
from processors.charter.quantities import Rate
from processors.ledger.account import Account, Balance
from processors.ledger.facts import WHOLE, action_task, day_of, event_task
from schemas.records import Case

# A stage that was away so long is back, and has asked what it was about to ask.
AWAY_S = 600


@dataclass(frozen=True)
class Policy:
    """What a charter allows a step: money a day by task, money a day by action, and how many cases at what pace."""

    caps_microusd: Mapping[str, int]
    rate: Rate | None = None
    actions_microusd: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Granted:
    """The money is held, and may be spent on any action but the closed ones."""

    amount_microusd: int
    held_actions: tuple[str, ...] = ()
    closed_actions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Withheld:
    """Not now. `until` (epoch seconds) is when it is worth another try; `spent` says that only another day helps."""

    reason: str
    until: float
    spent: bool


def caps_of(budget: Budget) -> dict[str, int]:
    """What each purse of a day may hold."""
    events = {event_task(name): capped.per_day_microusd for name, capped in budget.events.items()}
    actions = {action_task(name): capped.per_day_microusd for name, capped in budget.actions.items()}
    return {WHOLE: budget.per_day_microusd, **events, **actions}


def policy_for(charter: Charter, case: Case) -> Policy:
    """What the charter allows the next step of a case."""
    caps = caps_of(charter.budget)
    must_fit = {task: caps[task] for task in (WHOLE, event_task(case.event.type)) if task in caps}
    actions = {name: caps[action_task(name)] for name in charter.budget.actions}
    return Policy(must_fit, charter.limits.agent if case.step == 0 else None, actions)


def worst_price_microusd(compiled: CompiledCharter, case: Case, now: datetime) -> int:
    """What the step may cost at most: every call that the bounds still allow the case at its worst price, and never
    more than is left of the case's own cap. Raises `UnknownPrice`.
    """
    charter = compiled.charter
    calls_left = max(charter.bounds.model_calls - case.spent.model_calls, 0)
    if not charter.decide.asked or not calls_left:
        return 0
    once = prices.worst_ask_price_microusd(charter.decide.asked, prompts.build(compiled, case), now)
    return min(max(charter.budget.per_case_microusd - case.spent.cost_microusd, 0), once * calls_left)


def held_for_s(charter: Charter) -> float:
    """How long a reservation waits for its settlement: all that the charter lets the step do, one after another, and a
    stage that was away. After that nobody can say what was spent, so it counts as spent.
    """
    asking_s = charter.bounds.model_calls * len(charter.decide.asked) * charter.decide.timeout
    return float(charter.bounds.seconds + asking_s + AWAY_S)


def reserve(account: Account, policy: Policy, amount_microusd: int, now: datetime) -> Granted | Withheld:
    """Whether a step that may cost `amount_microusd` can begin now."""
    seconds, day = now.timestamp(), day_of(now)
    if policy.rate is not None:
        room_at = account.room_at(policy.rate, seconds)
        if room_at > seconds:
            limit = f"{policy.rate.count} in {policy.rate.per_seconds} s"
            return Withheld(f"the agent's limit of {limit} is reached", room_at, spent=False)
    short = [
        _short(account.balance(day, task), task, cap, amount_microusd, now, account.turn_s)
        for task, cap in policy.caps_microusd.items()
        if amount_microusd > account.balance(day, task).left_microusd(cap)
    ]
    if short:
        return max(short, key=lambda withheld: withheld.spent)
    closed = tuple(
        action
        for action, cap in policy.actions_microusd.items()
        if amount_microusd and amount_microusd > account.balance(day, action_task(action)).left_microusd(cap)
    )
    held = tuple(action for action in policy.actions_microusd if amount_microusd and action not in closed)
    return Granted(amount_microusd, held, closed)


def _short(balance: Balance, task: str, cap: int, amount: int, now: datetime, turn_s: float) -> Withheld:
    budget = f"{max(balance.left_microusd(cap), 0)} of the day's {cap} are left"
    reason = f"{amount} micro-dollars are needed and {budget}" + (f" for {task}" if task else "")
    if balance.gone_microusd + amount > cap:
        return Withheld(reason, _next_day(now).timestamp(), spent=True)
    # Only held, not spent: steps that are open now give most of it back in a moment.
    return Withheld(f"{reason}, the rest is held for open cases", now.timestamp() + turn_s, spent=False)


def _next_day(now: datetime) -> datetime:
    """When the budget's window turns."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)
