"""Decides whether a step may start: its worst price is reserved in every scope that it may be spent from.

The action is only known after the decision, so the worst price is reserved in the scope of every capped action that has
room for it. An action without room is closed for the step: the gates turn a decision for it down (`gate.py`). So capped
actions are never overspent either, whatever the open cases decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal

from nightdesk.processors import prices, prompts
from nightdesk.processors.charter.allowances import Budget
from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.ledger.account import Account, Balance
from nightdesk.processors.ledger.facts import AGENT_TOTAL, action_scope, day_of, event_scope
from nightdesk.processors.quantities import Rate
from nightdesk.schemas.money import money
from nightdesk.schemas.records import Case

# Time for a stage that was away to come back and ask its questions.
AWAY_S = 600
# The scope of `limits.agent`, beside the scopes of the budget.
AGENT_RATE = "rate"
# The day's money without the reserve for urgent cases.
NOT_RESERVED = "cases that are not urgent"


@dataclass(frozen=True)
class BudgetPolicy:
    """What a charter allows a step: money for each day, by scope and by action, and the rate of cases.
    `reserve_microusd` of the day's money is not available to it. Days begin and end in `zone`.
    """

    caps_microusd: Mapping[str, int]
    rate: Rate | None = None
    reserve_microusd: int = 0
    zone: tzinfo = UTC
    actions_microusd: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Granted:
    """The money is reserved, and may be spent on any action except the closed ones."""

    amount_microusd: int
    held_actions: tuple[str, ...] = ()
    closed_actions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Withheld:
    """The step may not start now, and why. `scope` is exhausted: a budget scope, or the agent's rate. `opens_at` (epoch
    seconds) is when there will be room; 0 if that depends on other steps.
    """

    gate: Literal["rate", "held", "spent"]
    scope: str
    reason: str
    opens_at: float = 0.0


def caps_of(budget: Budget) -> dict[str, int]:
    """The cap of each scope of a day."""
    events = {event_scope(name): capped.per_day_microusd for name, capped in budget.events.items()}
    actions = {action_scope(name): capped.per_day_microusd for name, capped in budget.actions.items()}
    return {AGENT_TOTAL: budget.per_day_microusd, **events, **actions}


def policy_for(charter: Charter, event_type: str, *, begins: bool, is_urgent: bool = False) -> BudgetPolicy:
    """What the charter allows a step of a case with this event. The rate limits how many cases begin."""
    budget = charter.budget
    must_fit = {AGENT_TOTAL: budget.per_day_microusd}
    event = budget.events.get(event_type)
    if event is not None:
        must_fit[event_scope(event_type)] = event.per_day_microusd
    actions = {name: action.per_day_microusd for name, action in budget.actions.items()}
    rate = charter.limits.agent if begins else None
    reserve = 0 if is_urgent else budget.reserve_microusd
    return BudgetPolicy(must_fit, rate, reserve, budget.zone, actions)


def worst_price_microusd(compiled: CompiledCharter, case: Case, now: datetime) -> int:
    """The most that the step can cost, in micro-dollars: every call that the bounds still allow at its worst price, but
    what it may have cost before it was given back, but never more than is left of the case's own cap. Raises
    `UnknownPrice`.
    """
    charter = compiled.charter
    calls_left = max(charter.bounds.model_calls - case.spent.model_calls, 0)
    if not charter.decide.asked or not calls_left:
        return case.returned_microusd
    once = prices.worst_ask_price_microusd(charter.decide.asked, prompts.build(compiled, case), now)
    worst_microusd = case.returned_microusd + once * calls_left
    return min(max(charter.budget.per_case_microusd - case.spent.cost_microusd, 0), worst_microusd)


def held_for_s(charter: Charter) -> float:
    """Seconds until a reservation expires: all that the charter lets the step do, in sequence, plus an outage of the
    stage. After that nobody can tell the cost, so it counts as spent.
    """
    asking_s = charter.bounds.model_calls * len(charter.decide.asked) * charter.decide.timeout
    return float(charter.bounds.seconds + asking_s + AWAY_S)


def reserve(account: Account, policy: BudgetPolicy, amount_microusd: int, now: datetime) -> Granted | Withheld:
    """Reserve money for a step that may cost `amount_microusd`, or withhold it."""
    seconds, day = now.timestamp(), day_of(now, policy.zone)
    if policy.rate is not None:
        room_at = account.room_at(policy.rate, seconds)
        if room_at > seconds:
            limit = f"{policy.rate.count} in {policy.rate.per_seconds} s"
            return Withheld("rate", AGENT_RATE, f"the agent's limit of {limit} is reached", room_at)
    short = [
        _short(account.balance(day, task), task, cap, amount_microusd, next_day(now, policy.zone))
        for task, cap in policy.caps_microusd.items()
        if amount_microusd > account.balance(day, task).left_microusd(cap)
    ]
    whole, balance = policy.caps_microusd.get(AGENT_TOTAL, 0), account.balance(day)
    common = whole - policy.reserve_microusd
    if policy.reserve_microusd and not short and amount_microusd > balance.left_microusd(common):
        short = [_short(balance, NOT_RESERVED, common, amount_microusd, next_day(now, policy.zone))]
    if short:
        return max(short, key=lambda withheld: withheld.gate == "spent")
    closed = tuple(
        action
        for action, cap in policy.actions_microusd.items()
        if amount_microusd and amount_microusd > account.balance(day, action_scope(action)).left_microusd(cap)
    )
    held = tuple(action for action in policy.actions_microusd if amount_microusd and action not in closed)
    return Granted(amount_microusd, held, closed)


def _short(balance: Balance, task: str, cap: int, amount: int, tomorrow: datetime) -> Withheld:
    left = f"{money(max(balance.left_microusd(cap), 0))} of the day's {money(cap)} is left"
    reason = f"{money(amount)} is needed and {left}" + (f" for {task}" if task else "")
    if balance.consumed_microusd + amount > cap:
        return Withheld("spent", task, reason, tomorrow.timestamp())
    # Only reserved, not spent: open steps release most of it.
    return Withheld("held", task, f"{reason}, the rest is reserved for open steps")


def next_day(now: datetime, zone: tzinfo) -> datetime:
    """The start of the budget's next day. In the night of a clock change a day has 23 or 25 hours."""
    tomorrow = now.astimezone(zone).date() + timedelta(days=1)
    return datetime.combine(tomorrow, time.min, zone).astimezone(UTC)
