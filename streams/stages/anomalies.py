"""Pauses an agent when its recent cases leave the bounds in its charter's `anomalies` section, and records the reason.

Bounds that only observe are reported in the audit, the log and a metric instead, at most once in a window.

It is part of the budget stage, the one place that sees all cases of an agent in one order. `pauses` stores the last
order that was given for an agent and the record that caused it. That record gives the same order again when it is
redelivered, and no other record gives one before somebody has resumed the agent. Earlier observations no longer count.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice

from pydantic import BaseModel

from nightdesk.processors.anomalies import Anomaly, AnomalyDetector, anomalies_text
from nightdesk.processors.charter.allowances import Anomalies
from nightdesk.processors.ledger import Fact
from nightdesk.schemas import audit_records
from nightdesk.schemas.records import BudgetEntry, ControlCommand
from nightdesk.schemas.topics import CONTROL
from nightdesk.streams.api import Clock, Delivery, StagedWrites, Table
from nightdesk.streams.control import Control
from nightdesk.streams.metrics import ANOMALIES

log = logging.getLogger(__name__)

ANOMALY_BREAKER = "nightdesk: the anomaly breaker"
# After a change of the bounds, each tick and each entry of the agent reads so many facts, in some tens of milliseconds.
FACTS_AT_ONCE = 2000


# The facts of a partition that changed since a time (epoch seconds), and possibly older ones; read one by one.
RecentFacts = Callable[[int, float], Iterable[Fact]]


class GivenOrder(BaseModel):
    """An order that was given. `place` is the record of the budget topic that exceeded the bound."""

    place: str
    order: ControlCommand


class Breaker:
    """The anomaly detectors for the agents of this process."""

    def __init__(self, control: Control, clock: Clock, recent: RecentFacts) -> None:
        self._control = control
        self._clock = clock
        self._watches: dict[str, AnomalyDetector] = {}
        # The facts that the detectors of changed bounds have yet to see.
        self._unread: dict[str, Iterator[Fact]] = {}
        # For a resume order with a future time: that time, and when it was first seen.
        self._early: dict[str, tuple[float, float]] = {}
        self._recent = recent
        self.table = Table("pauses", GivenOrder)

    @property
    def window_s(self) -> float:
        """The longest window of all promoted charters; 0 if none has bounds."""
        policies = (compiled.charter.anomalies for compiled in self._control.current())
        return max((policy.window for policy in policies if policy is not None), default=0.0)

    def recovered(self) -> None:
        """Prepare to observe the facts of the ledger again."""
        self._watches, self._unread = {}, {}

    def tick(self) -> None:
        """Let the detectors of changed bounds see more of the ledger."""
        for agent in list(self._unread):
            self._read_on(agent)

    def remember(self, fact: Fact) -> None:
        """Observe a fact of the ledger during recovery, if its agent is watched."""
        charter = self._control.promoted(fact.agent)
        policy = None if charter is None else charter.charter.anomalies
        if policy is not None:
            watch = self._watches.get(fact.agent)
            if watch is None or watch.policy != policy:
                watch = self._watches[fact.agent] = AnomalyDetector(policy)
            watch.observe(fact)

    def observe(self, fact: Fact, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        """Observe a ledger entry. Pauses the agent if a bound is exceeded."""
        charter = self._control.promoted(fact.agent)
        policy = None if charter is None else charter.charter.anomalies
        if policy is None:
            self._watches.pop(fact.agent, None)
            self._unread.pop(fact.agent, None)
            return
        watch = self._watch(fact.agent, policy, delivery.partition)
        watch.observe(fact)
        if not self._read_on(fact.agent):
            return  # what was read is only a part of the window
        now = self._clock()
        resumed_at = self._resumed_at(fact.agent, now.timestamp())
        watch.forget_before(max(now.timestamp() - policy.window, resumed_at))
        found = watch.anomalies()
        enforced = tuple(anomaly for anomaly in found if policy.enforces(anomaly.bound))
        observed = tuple(anomaly for anomaly in found if not policy.enforces(anomaly.bound))
        if enforced:
            order = _order(fact.agent, enforced, now)
            if not self._is_stopped(order, delivery.partition, resumed_at):
                self._stop(order, delivery, writes)
        if observed:
            order = _order(fact.agent, observed, now)
            if not self._is_observed(order, delivery.partition, max(now.timestamp() - policy.window, resumed_at)):
                self._observe(order, delivery, writes)

    def repeat_order(self, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        """Give the order of a redelivered record again, if it gave one."""
        agent = delivery.record.agent
        known = self.table.get(delivery.partition, agent)
        if known is not None and known.place == _place(delivery):
            self._give(known.order, delivery, writes)
        observed = self.table.get(delivery.partition, _observed(agent))
        if observed is not None and observed.place == _place(delivery):
            writes.audit(audit_records.would_order(observed.order, delivery.traceparent))

    def _watch(self, agent: str, policy: Anomalies, partition: int) -> AnomalyDetector:
        watch = self._watches.get(agent)
        if watch is None or watch.policy != policy:
            watch = self._watches[agent] = AnomalyDetector(policy)
            self._unread[agent] = iter(self._recent(partition, self._clock().timestamp() - policy.window))
        return watch

    def _read_on(self, agent: str) -> bool:
        """Read the next facts, and not all at once, because a day may have a million. Returns whether all have been
        read.
        """
        unread = self._unread.get(agent)
        if unread is None:
            return True
        facts = list(islice(unread, FACTS_AT_ONCE))
        for fact in facts:
            if fact.agent == agent:
                self._watches[agent].observe(fact)
        if len(facts) < FACTS_AT_ONCE:
            del self._unread[agent]
        return agent not in self._unread

    def _resumed_at(self, agent: str, now: float) -> float:
        """When the agent was last resumed. If the time of the order is in the future, because a clock was ahead, the
        time when it was first seen counts.
        """
        told = self._control.resumed_at(agent)
        if told <= now:
            return told
        order, seen_at = self._early.get(agent, (0.0, now))
        seen_at = min(seen_at, now) if order == told else now
        self._early[agent] = (told, seen_at)
        return seen_at

    def _is_stopped(self, order: ControlCommand, partition: int, resumed_at: float) -> bool:
        """Whether the agent is already stopped as strictly as by this order: by anyone, or by an order of ours that is
        on its way. An order of ours from a clock that was ahead is ignored. A pause is not enough if the order is
        `stop_all`, because a paused agent still spends.
        """
        known = self.table.get(partition, order.agent)
        by_us = known is not None and resumed_at <= known.order.time.timestamp() <= order.time.timestamp()
        if known is not None and by_us and _is_as_strict(known.order, order):
            return True
        halted = self._control.stopped if order.kind == "stop_all" else self._control.halted
        return halted(order.agent) is not None

    def _stop(self, order: ControlCommand, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        self.table.put(writes, order.agent, GivenOrder(place=_place(delivery), order=order))
        ANOMALIES.labels(agent=order.agent, mode="enforce").inc()
        self._give(order, delivery, writes)

    def _is_observed(self, order: ControlCommand, partition: int, since: float) -> bool:
        """Whether the same anomaly was reported within this window already."""
        known = self.table.get(partition, _observed(order.agent))
        return known is not None and since <= known.order.time.timestamp() <= order.time.timestamp()

    def _observe(self, order: ControlCommand, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        self.table.put(writes, _observed(order.agent), GivenOrder(place=_place(delivery), order=order))
        writes.audit(audit_records.would_order(order, delivery.traceparent))
        ANOMALIES.labels(agent=order.agent, mode="observe").inc()
        log.warning("%s would have been stopped (%s): %s", order.agent, order.kind, order.reason)

    def _give(self, order: ControlCommand, delivery: Delivery[BudgetEntry], writes: StagedWrites) -> None:
        writes.emit(CONTROL, order)
        writes.audit(audit_records.ordered(order, delivery.traceparent))


def _order(agent: str, anomalies: Sequence[Anomaly], now: datetime) -> ControlCommand:
    """The order to give: an agent that spends too much must not ask models either; any other one only stops acting."""
    spends = any(anomaly.bound == "spend_usd" for anomaly in anomalies)
    return ControlCommand(
        key=agent,
        kind="stop_all" if spends else "pause",
        agent=agent,
        reason=anomalies_text(anomalies),
        issued_by=ANOMALY_BREAKER,
        time=now,
    )


def _is_as_strict(known: ControlCommand, order: ControlCommand) -> bool:
    return known.kind == "stop_all" or order.kind == "pause"


def _observed(agent: str) -> str:
    """The key of an observed anomaly; no agent's name has a slash."""
    return f"{agent}/observed"


def _place(delivery: Delivery[BudgetEntry]) -> str:
    return f"{delivery.partition}:{delivery.offset}"
