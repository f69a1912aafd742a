"""The stricter of two charters, for cases that wait when another charter is promoted in an emergency. Pure.

A case goes on under the version that it started with: its triggers, playbooks, handlers and prompts. Of what the agent
may do and spend (`mode`, the actions and what they need, `limits`, `budget`, `bounds`) each value is the stricter one,
so the result is never laxer than either.
"""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, TypeVar

from nightdesk.processors.charter.actions import Action, FourEyes
from nightdesk.processors.charter.allowances import Bounds, Budget, Limits, TaskBudget
from nightdesk.processors.charter.fields import Part
from nightdesk.processors.charter.model import Charter
from nightdesk.processors.quantities import Rate

P = TypeVar("P", bound=Part)
V = TypeVar("V")


def stricter(old: Charter, new: Charter) -> Charter:
    """The charter `old` with what `new` restricts. What to do when the budget is spent is as `new` says."""
    actions = {
        name: _action(action, new.actions[name])
        for name, action in old.actions.items()
        if name in new.actions and new.actions[name].kind == action.kind
    }
    return _having(
        old,
        mode="live" if old.mode == new.mode == "live" else "dry_run",
        actions=actions,
        # Examples may show actions that are not allowed any more.
        decide=old.decide if len(actions) == len(old.actions) else _having(old.decide, examples=None),
        confidence_floor=max(old.confidence_floor, new.confidence_floor),
        limits=_limits(old.limits, new.limits),
        budget=_budget(old.budget, new.budget),
        bounds=_bounds(old.bounds, new.bounds),
    )


def stricter_rate(one: Rate, other: Rate) -> Rate:
    """A rate that exceeds neither: the one that implies the other, or else the lower count in the longer period."""
    if _implies(one, other):
        return one
    if _implies(other, one):
        return other
    return Rate(count=min(one.count, other.count), per_seconds=max(one.per_seconds, other.per_seconds))


def _implies(one: Rate, other: Rate) -> bool:
    """Whether the limit `one` implies `other`, because whole periods of `one` cover the period of `other`."""
    return one.count * ceil(other.per_seconds / one.per_seconds) <= other.count


def _action(old: Action, new: Action) -> Action:
    waits = [most for most in (old.at_most, new.at_most) if most is not None]
    return _having(
        old,
        confidence=max(old.confidence, new.confidence),
        approval="always" if "always" in (old.approval, new.approval) else old.approval,
        at_most=min(waits, default=None),
        four_eyes=_both(old.four_eyes, new.four_eyes, _four_eyes),
    )


def _four_eyes(old: FourEyes, new: FourEyes) -> FourEyes:
    return _having(
        old,
        approvers=max(old.approvers, new.approvers),
        requested_by=tuple(dict.fromkeys((*old.requested_by, *new.requested_by))),
        not_promoter=old.not_promoter or new.not_promoter,
    )


def _limits(old: Limits, new: Limits) -> Limits:
    return _having(
        old,
        per_subject=_both(old.per_subject, new.per_subject, stricter_rate),
        agent=_both(old.agent, new.agent, stricter_rate),
        actions=_all(old.actions, new.actions, stricter_rate),
    )


def _budget(old: Budget, new: Budget) -> Budget:
    per_day_usd = min(old.per_day_usd, new.per_day_usd)
    # A case that is not urgent may use no more of the day than either charter allows. A case is urgent only if both
    # charters say so.
    not_urgent_usd = min(old.per_day_usd - old.reserve_usd, new.per_day_usd - new.reserve_usd)
    urgent = new.urgent if old.urgent == new.urgent else None
    return _having(
        new,
        time_zone=old.time_zone,
        urgent=urgent,
        per_day_usd=not_urgent_usd if urgent is None else per_day_usd,
        reserve_usd=type(per_day_usd)(0) if urgent is None else per_day_usd - not_urgent_usd,
        per_case_usd=min(old.per_case_usd, new.per_case_usd),
        events=_all(old.events, new.events, _lower),
        actions=_all(old.actions, new.actions, _lower),
    )


def _lower(one: TaskBudget, other: TaskBudget) -> TaskBudget:
    return min(one, other, key=lambda budget: budget.per_day_usd)


def _bounds(old: Bounds, new: Bounds) -> Bounds:
    names = Bounds.model_fields.keys() - {"when_stale"}
    lower = {name: min(getattr(old, name), getattr(new, name)) for name in names}
    return _having(old, **lower, when_stale="drop" if "drop" in (old.when_stale, new.when_stale) else "ask")


def _all(old: Mapping[str, V], new: Mapping[str, V], both: Callable[[V, V], V]) -> dict[str, V]:
    """The restrictions of both; where both restrict the same thing, the stricter one."""
    in_both = {name: both(old[name], new[name]) for name in old.keys() & new.keys()}
    return {**old, **new, **in_both}


def _both(old: V | None, new: V | None, both: Callable[[V, V], V]) -> V | None:
    return both(old, new) if old is not None and new is not None else old or new


def _having(part: P, **changes: Any) -> P:
    """The part with these fields changed. It is built anew, because a copy would keep values that were cached from the
    old fields.
    """
    fields = {name: getattr(part, name) for name in type(part).model_fields}
    return type(part).model_construct(**{**fields, **changes})
