"""The totals of one agent, derived from its facts, for the budget stage and `nightdesk budget show`."""

from dataclasses import dataclass, field
from typing import NamedTuple

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


class Amounts(NamedTuple):
    """What is added to a balance."""

    reserved_microusd: int
    spent_microusd: int
    unknown_microusd: int
    tokens: int
    steps: int


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

    def add_balance(self, day: str, task: str, amounts: Amounts) -> None:
        """Add what facts of a day and scope add up to."""
        balance = self.balances.get((day, task))
        if balance is None:
            balance = self.balances[day, task] = Balance()
        balance.reserved_microusd += amounts.reserved_microusd
        balance.spent_microusd += amounts.spent_microusd
        balance.unknown_microusd += amounts.unknown_microusd
        balance.tokens += amounts.tokens
        balance.steps += amounts.steps
        if not balance.steps:
            del self.balances[day, task]  # the day is over and deleted

    def _count(self, fact: Fact, sign: int) -> None:
        if not fact.is_counted:
            return
        amounts = amounts_of(fact, sign)
        for task in fact.tasks():
            self.add_balance(fact.day, task, amounts)


def amounts_of(fact: Fact, sign: int = 1) -> Amounts:
    """What a counted fact adds to each balance that it counts in."""
    if fact.state == "open":
        return Amounts(sign * fact.reserved_microusd, 0, 0, 0, sign)
    if fact.state == "unknown" and fact.corrected_microusd is None:
        return Amounts(0, 0, sign * fact.reserved_microusd, 0, sign)
    return Amounts(0, sign * fact.counted_microusd, 0, sign * fact.tokens, sign)


def _admitted_at(fact: Fact | None) -> float | None:
    return fact.at if fact is not None and fact.admitted else None
