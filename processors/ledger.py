"""An agent's money and pace: what is reserved, what is spent, and whether one more case may begin. Pure.

The budget stage keeps one `Fact` for each case (its last state) and derives one `Account` for each agent from them. A
fact replaces the case's earlier one, never adds to it, so an entry applied twice changes nothing and the balance can be
recomputed from the facts, or from the topic, at any time. Money in micro-dollars, times in epoch seconds, days in UTC.
"""

from bisect import bisect_right, insort
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

from processors.charter.quantities import Rate

FIRST_TURN_S = 1.0
TURNS_PER_S = 100.0

FactState = Literal["open", "settled", "refused", "deferred", "escalated"]


class Fact(BaseModel):
    """The last that is known of a case's money. `offset` is where its reservation lay in the budget topic."""

    model_config = ConfigDict(frozen=True)

    agent: str
    case_id: str
    state: FactState
    day: str
    at: float
    reserved_microusd: int = 0
    spent_microusd: int = 0
    tokens: int = 0
    until: float = 0.0
    tries: int = 0
    reason: str = ""

    @property
    def admitted(self) -> bool:
        """Whether the case counts against the agent's rate."""
        return self.state in ("open", "settled")


@dataclass(frozen=True)
class Policy:
    """What a charter allows its agent."""

    per_day_microusd: int
    rate: Rate | None


@dataclass
class Account:
    """One agent's totals, derived from its facts."""

    reserved_microusd: dict[str, int] = field(default_factory=dict)
    spent_microusd: dict[str, int] = field(default_factory=dict)
    admitted: list[float] = field(default_factory=list)
    deferred: int = 0

    def replace(self, before: Fact | None, after: Fact) -> None:
        """Take the earlier fact's part out and put the later one's in."""
        if before is not None:
            self._count(before, -1)
        self._count(after, +1)

    def left_microusd(self, day: str, policy: Policy) -> int:
        """What may still be reserved on `day`."""
        return policy.per_day_microusd - self.reserved_microusd.get(day, 0) - self.spent_microusd.get(day, 0)

    def room_at(self, rate: Rate, now: float) -> float:
        """When one more case may begin; `now` or earlier means at once. Cases that wait already come first."""
        # Summed as below, so that rounding never makes a case wait that is told to come now.
        del self.admitted[: bisect_right(self.admitted, now, key=lambda at: at + rate.per_seconds)]
        if len(self.admitted) < rate.count:
            return now
        oldest_in_the_way = self.admitted[-rate.count]
        return oldest_in_the_way + rate.per_seconds + self.deferred * rate.per_seconds / rate.count

    @property
    def turn_s(self) -> float:
        """When it is the turn of one that begins to wait now, so that not all come back at once."""
        return FIRST_TURN_S + self.deferred / TURNS_PER_S

    def _count(self, fact: Fact, sign: int) -> None:
        if fact.state == "open":
            self.reserved_microusd[fact.day] = self.reserved_microusd.get(fact.day, 0) + sign * fact.reserved_microusd
        if fact.state == "settled":
            self.spent_microusd[fact.day] = self.spent_microusd.get(fact.day, 0) + sign * fact.spent_microusd
        if fact.state == "deferred":
            self.deferred += sign
        if fact.admitted and sign > 0:
            insort(self.admitted, fact.at)
        elif fact.admitted and fact.at in self.admitted:
            self.admitted.remove(fact.at)


@dataclass(frozen=True)
class Granted:
    """The money is held."""

    amount_microusd: int


@dataclass(frozen=True)
class Withheld:
    """Not now. `until` (epoch seconds) is when it is worth another try."""

    reason: str
    until: float
    spent: bool


def reserve(account: Account, policy: Policy, amount_microusd: int, now: datetime) -> Granted | Withheld:
    """Whether a case that may cost `amount_microusd` can begin now."""
    seconds = now.timestamp()
    if policy.rate is not None:
        room_at = account.room_at(policy.rate, seconds)
        if room_at > seconds:
            limit = f"{policy.rate.count} in {policy.rate.per_seconds} s"
            return Withheld(f"the agent's limit of {limit} is reached", room_at, spent=False)
    left = account.left_microusd(day_of(now), policy)
    if amount_microusd <= left:
        return Granted(amount_microusd)
    budget = f"{max(left, 0)} of the day's {policy.per_day_microusd} are left"
    reason = f"{amount_microusd} micro-dollars are needed and {budget}"
    spent = account.spent_microusd.get(day_of(now), 0)
    if spent + amount_microusd > policy.per_day_microusd:
        return Withheld(reason, next_day(now).timestamp(), spent=True)
    # Only held, not spent: cases that are open now give most of it back in a moment.
    return Withheld(f"{reason}, the rest is held for open cases", seconds + account.turn_s, spent=False)


def day_of(now: datetime) -> str:
    """The budget's day, in UTC."""
    return now.astimezone(UTC).date().isoformat()


def next_day(now: datetime) -> datetime:
    """When the budget's window turns."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(days=1)
