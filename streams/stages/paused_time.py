"""Measures how long orders have held each agent, because waiting decisions do not age in that time.

It is part of the act stage. `paused` has, for each agent, the total seconds of its past pauses and the start of the
current one. To measure a wait, store `seconds` at its beginning and subtract what was added since. If an order was
given and lifted while no worker of this stage ran, it is not known, and decisions age in its time.
"""

from collections.abc import Iterator

from pydantic import BaseModel

from nightdesk.processors.execution import OrderScope, order_against
from nightdesk.schemas import ids
from nightdesk.streams.api import Clock, StagedWrites, Table
from nightdesk.streams.control import Control


class Paused(BaseModel):
    """`total_s` is the total of all past pauses, the last of which ended at `ended_at`; `since` is when the current one
    began, None if there is none. Both times are in epoch seconds.
    """

    agent: str
    escalates: bool
    total_s: float = 0.0
    ended_at: float = 0.0
    since: float | None = None


class PausedTime:
    """The paused seconds of the agents, for each partition."""

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._known: dict[tuple[int, OrderScope], Paused] = {}
        # The number of applied orders that a partition's entries include.
        self._as_of: dict[int, int] = {}
        self.table = Table("paused", Paused)

    def recovered(self) -> Iterator[None]:
        """Read the entries again."""
        self._known, self._as_of = {}, {}
        for entries in self.table.slices():
            for partition, _, paused in entries:
                self._known[partition, OrderScope(paused.agent, paused.escalates)] = paused
            yield

    def seconds(self, partition: int, scope: OrderScope) -> float:
        """The total seconds, up to now, in which orders held decisions of this scope."""
        paused = self._known.get((partition, scope))
        if paused is None:
            return 0.0
        return paused.total_s + (0.0 if paused.since is None else max(0.0, self._now() - paused.since))

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Store the pauses that began or ended since the last tick."""
        orders = self._control.orders_applied
        if self._as_of.get(partition) == orders:
            return
        self._as_of[partition] = orders
        for agent in self._control.agents():
            for escalates in (False, True):
                self._look(partition, OrderScope(agent, escalates), writes)

    def _look(self, partition: int, scope: OrderScope, writes: StagedWrites) -> None:
        before = self._known.get((partition, scope)) or Paused(agent=scope.agent, escalates=scope.escalates)
        order, now = order_against(self._control.halts(scope.agent), escalates=scope.escalates), self._now()
        if order is not None and before.since is None:
            began_at = min(max(order.time.timestamp(), before.ended_at), now)
            after = before.model_copy(update={"since": began_at})
        elif order is None and before.since is not None:
            ended_at = min(max(self._control.ordered_at(scope.agent), before.since), now)
            total_s = before.total_s + max(0.0, ended_at - before.since)
            after = before.model_copy(update={"since": None, "total_s": total_s, "ended_at": ended_at})
        else:
            return
        self._known[partition, scope] = after
        self.table.put(writes, ids.composite_key(scope.agent, str(scope.escalates)), after)

    def _now(self) -> float:
        return self._clock().timestamp()
