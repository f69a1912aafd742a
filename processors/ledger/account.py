"""The totals of one agent, derived from its facts, for the budget stage and `nightdesk budget show`."""

from bisect import bisect_right, insort
from collections.abc import Iterator
from dataclasses import dataclass, field

from nightdesk.processors.charter.quantities import Rate
from nightdesk.processors.ledger.facts import AGENT_TOTAL, Fact


@dataclass(slots=True)
class Balance:
    """The totals of one scope on one day. `unknown` was reserved and never settled."""

    reserved_microusd: int = 0
    spent_microusd: int = 0
    unknown_microusd: int = 0
    tokens: int = 0
    steps: int = 0

    @property
    def consumed_microusd(self) -> int:
        """Money that is spent or unknown, so that waiting does not release it."""
        return self.spent_microusd + self.unknown_microusd

    def left_microusd(self, per_day_microusd: int) -> int:
        """What may still be reserved."""
        return per_day_microusd - self.reserved_microusd - self.consumed_microusd


NOTHING = Balance()


@dataclass
class Account:
    """`balances` by day and scope."""

    balances: dict[tuple[str, str], Balance] = field(default_factory=dict)
    admitted: list[float] = field(default_factory=list)

    def replace(self, before: Fact | None, after: Fact | None) -> None:
        """Subtract the earlier fact's amounts and add the later one's."""
        if before is not None:
            self._count(before, -1)
        if after is not None:
            self._count(after, +1)

    def balance(self, day: str, task: str = AGENT_TOTAL) -> Balance:
        """The balance of a day and scope. Do not change it."""
        return self.balances.get((day, task), NOTHING)

    def room_at(self, rate: Rate, now: float) -> float:
        """When one more case may start; `now` or earlier means at once."""
        # A start time in the future was written by a clock that was ahead, so it counts as now.
        ahead = bisect_right(self.admitted, now)
        self.admitted[ahead:] = [now] * (len(self.admitted) - ahead)
        # Summed in the same order as below, so that rounding never delays a case that is due now.
        del self.admitted[: bisect_right(self.admitted, now, key=lambda at: at + rate.per_seconds)]
        if len(self.admitted) < rate.count:
            return now
        return self.admitted[-rate.count] + rate.per_seconds

    def _count(self, fact: Fact, sign: int) -> None:
        if fact.is_counted:
            for balance in self._balances_of(fact, sign):
                balance.steps += sign
                if fact.state == "open":
                    balance.reserved_microusd += sign * fact.reserved_microusd
                elif fact.state == "unknown" and fact.corrected_microusd is None:
                    balance.unknown_microusd += sign * fact.reserved_microusd
                else:
                    balance.spent_microusd += sign * fact.counted_microusd
                    balance.tokens += sign * fact.tokens
        if fact.admitted and sign > 0:
            insort(self.admitted, fact.at)
        elif fact.admitted and fact.at in self.admitted:
            self.admitted.remove(fact.at)

    def _balances_of(self, fact: Fact, sign: int) -> Iterator[Balance]:
        for task in fact.tasks():
            place = (fact.day, task)
            balance = self.balances.get(place)
            if balance is None:
                balance = self.balances[place] = Balance()
            yield balance
            if sign < 0 and not balance.steps:
                del self.balances[place]  # the day is over and deleted
