"""The totals of one agent, derived from its facts. Built by the budget stage and by `nightdesk budget show`."""

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from processors.charter.quantities import Rate
from processors.ledger.facts import WHOLE, Fact

FIRST_TURN_S = 1.0
TURNS_PER_S = 100.0
COUNTED = ("open", "settled", "unknown")


@dataclass(slots=True)
class Balance:
    """One purse: what a day's steps of one task come to. `unknown` was held, and nobody said what was spent."""

    reserved_microusd: int = 0
    spent_microusd: int = 0
    unknown_microusd: int = 0
    tokens: int = 0
    steps: int = 0

    @property
    def gone_microusd(self) -> int:
        """What no waiting brings back."""
        return self.spent_microusd + self.unknown_microusd

    def left_microusd(self, per_day_microusd: int) -> int:
        """What may still be reserved."""
        return per_day_microusd - self.reserved_microusd - self.gone_microusd


NOTHING = Balance()


@dataclass
class Account:
    """`balances` by day and task."""

    balances: dict[tuple[str, str], Balance] = field(default_factory=dict)
    admitted: list[float] = field(default_factory=list)
    deferred: int = 0

    def replace(self, before: Fact | None, after: Fact | None) -> None:
        """Take the earlier fact's part out and put the later one's in."""
        if before is not None:
            self._count(before, -1)
        if after is not None:
            self._count(after, +1)

    def balance(self, day: str, task: str = WHOLE) -> Balance:
        """What a day's steps of a task come to. Not to be changed."""
        return self.balances.get((day, task), NOTHING)

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
        if fact.state == "deferred":
            self.deferred += sign
        if fact.state in COUNTED:
            for balance in self._purses(fact, sign):
                balance.steps += sign
                if fact.state == "open":
                    balance.reserved_microusd += sign * fact.reserved_microusd
                elif fact.state == "unknown":
                    balance.unknown_microusd += sign * fact.reserved_microusd
                else:
                    balance.spent_microusd += sign * fact.spent_microusd
                    balance.tokens += sign * fact.tokens
        if fact.admitted and sign > 0:
            insort(self.admitted, fact.at)
        elif fact.admitted and fact.at in self.admitted:
            self.admitted.remove(fact.at)

    def _purses(self, fact: Fact, sign: int) -> Iterator[Balance]:
        for task in fact.tasks():
            place = (fact.day, task)
            balance = self.balances.get(place)
            if balance is None:
                balance = self.balances[place] = Balance()
            yield balance
            if sign < 0 and not balance.steps:
                del self.balances[place]  # the day is over and forgotten
