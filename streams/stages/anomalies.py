"""Anomalies: an agent whose last cases leave the bounds of its charter is paused, once, and it is said why.

Part of the budget stage, the one place that sees all cases of an agent in one order. `pauses` keeps the last order that
was given for an agent and the record that it was given for: that record again says the same, and no other says it
again until somebody has resumed the agent. What was seen before that counts no more.
"""

from datetime import datetime

from pydantic import BaseModel

from processors.anomalies import Watch
from processors.charter.allowances import Anomalies
from processors.ledger import Fact
from schemas.records import BudgetEntry, ControlCommand
from schemas.topics import CONTROL
from streams.charters import Control
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.policy import Clock
from streams.runtime.tables import FactTable
from streams.stages import audit
from streams.stages.facts import stored

BREAKER = "nightdesk: the anomaly breaker"


class Paused(BaseModel):
    """`place` is the record of the budget topic that was one too many."""

    place: str
    order: ControlCommand


class Breaker:
    """The watches over the agents of this process."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._watches: dict[str, Watch] = {}
        self._ledger: FactTable
        self._pauses: FactTable

    def bind(self, tables: dict[str, FactTable]) -> None:
        self._ledger, self._pauses = tables["ledger"], tables["pauses"]

    def recovered(self) -> None:
        """Watch anew: what was seen is in the ledger."""
        self._watches = {}

    def see(self, fact: Fact, delivery: Delivery[BudgetEntry], changes: Changes) -> None:
        """What a line came to. Pauses the agent where it was one too many."""
        charter = self._control.promoted(fact.agent)
        policy = None if charter is None else charter.charter.anomalies
        if policy is None:
            self._watches.pop(fact.agent, None)
            return
        watch = self._watch(fact.agent, policy, delivery.partition)
        watch.see(fact)
        now, resumed_at = self._clock(), self._control.resumed_at(fact.agent)
        watch.forget_before(max(now.timestamp() - policy.window, resumed_at))
        anomaly = watch.anomaly()
        if anomaly and not self._is_paused(fact.agent, delivery.partition, resumed_at):
            self._pause(fact.agent, anomaly, delivery, changes, now)

    def say_again(self, delivery: Delivery[BudgetEntry], changes: Changes) -> None:
        """A record that was read before paused the agent, if it did."""
        known = self._read(delivery.record.agent, delivery.partition)
        if known is not None and known.place == _place(delivery):
            self._say(known.order, delivery, changes)

    def _watch(self, agent: str, policy: Anomalies, partition: int) -> Watch:
        watch = self._watches.get(agent)
        if watch is None or watch.policy != policy:
            watch = self._watches[agent] = Watch(policy)
            for value in self._ledger.facts(partition).values():
                fact = Fact.model_validate_json(value)
                if fact.agent == agent:
                    watch.see(fact)
        return watch

    def _is_paused(self, agent: str, partition: int, resumed_at: float) -> bool:
        """By anybody; or by us, and the order is on its way."""
        known = self._read(agent, partition)
        ordered = known is not None and known.order.time.timestamp() >= resumed_at
        return ordered or self._control.halted(agent) is not None

    def _pause(
        self, agent: str, anomaly: str, delivery: Delivery[BudgetEntry], changes: Changes, now: datetime
    ) -> None:
        order = ControlCommand(key=agent, kind="pause", agent=agent, reason=anomaly, issued_by=BREAKER, time=now)
        paused = Paused(place=_place(delivery), order=order)
        changes.put(self._pauses, agent, stored(paused))
        self._say(order, delivery, changes)

    def _say(self, order: ControlCommand, delivery: Delivery[BudgetEntry], changes: Changes) -> None:
        changes.emit(CONTROL, order)
        changes.audit(audit.ordered(order, delivery.traceparent))

    def _read(self, agent: str, partition: int) -> Paused | None:
        value = self._pauses.read(partition, agent)
        return None if value is None else Paused.model_validate_json(value)


def _place(delivery: Delivery[BudgetEntry]) -> str:
    return f"{delivery.partition}:{delivery.offset}"
