"""The totals of one agent, derived from its facts, for the budget stage and `nightdesk budget show`."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from nightdesk.processors.ledger.facts import AGENT_TOTAL, Fact
from nightdesk.processors.quantities import Rate
from nightdesk.processors.rates import Admission, AdmissionLog


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
    """`balances` by day and scope; `admitted` has the cases that count against the agent's rate."""

    balances: dict[tuple[str, str], Balance] = field(default_factory=dict)
    admitted: AdmissionLog = field(default_factory=AdmissionLog)

    def replace(self, before: Fact | None, after: Fact | None) -> None:
        """Subtract the earlier fact's amounts and add the later one's."""
        if before is not None:
            self._count(before, -1)
        if after is not None:
            self._count(after, +1)
        admitted_before, admitted_after = _admitted_at(before), _admitted_at(after)
        # Most facts replace one that was admitted at the same time, which the log may have set back since.
        if admitted_before != admitted_after:
            if admitted_before is not None:
                self.admitted.discard(Admission(admitted_before))
            if admitted_after is not None:
                self.admitted.add(Admission(admitted_after))

    def balance(self, day: str, task: str = AGENT_TOTAL) -> Balance:
        """The balance of a day and scope. Do not change it."""
        return self.balances.get((day, task), NOTHING)

    def room_at(self, rate: Rate, now: float) -> float:
        """When one more case may start; `now` or earlier means at once."""
        self.admitted.set_back(now)
        return self.admitted.room_at(rate, now)

    def _count(self, fact: Fact, sign: int) -> None:
        if not fact.is_counted:
            return
        for balance in self._balances_of(fact, sign):
            balance.steps += sign
            if fact.state == "open":
                balance.reserved_microusd += sign * fact.reserved_microusd
            elif fact.state == "unknown" and fact.corrected_microusd is None:
                balance.unknown_microusd += sign * fact.reserved_microusd
            else:
                balance.spent_microusd += sign * fact.counted_microusd
                balance.tokens += sign * fact.tokens

    def _balances_of(self, fact: Fact, sign: int) -> Iterator[Balance]:
        for task in fact.tasks():
            place = (fact.day, task)
            balance = self.balances.get(place)
            if balance is None:
                balance = self.balances[place] = Balance()
            yield balance
            if sign < 0 and not balance.steps:
                del self.balances[place]  # the day is over and deleted


def _admitted_at(fact: Fact | None) -> float | None:
    return fact.at if fact is not None and fact.admitted else None
