"""Decisions that may not act because of an order wait in a table of the act stage until the order is lifted.

Each is stored once and waits for the order, not for a timer. Each tick compares the orders in force with the agents
that have decisions here, and releases the decisions of agents that may act again: the oldest first, and at most
`RELEASED_A_SECOND`, so that a resume does not release a whole night at once. A released decision is emitted on `act`
again, so it is checked like any other.

Escalations have a queue of their own, because most orders do not hold them (`processors/execution/orders.py`). A new
decision of an agent whose queue is not empty joins it, so that none overtakes.
"""

import heapq
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel

from nightdesk.processors.execution import OrderScope, order_against
from nightdesk.schemas import audit_records, ids
from nightdesk.schemas.records import ControlCommand, Decision
from nightdesk.schemas.topics import ACT
from nightdesk.streams.api import Base64Bytes, Clock, StagedWrites, Table
from nightdesk.streams.control import Control
from nightdesk.streams.metrics import WAITING
from nightdesk.streams.stages.execution import ExecutionTask

CAUSE = "order"
# For one agent in one partition, after its order is lifted.
RELEASED_A_SECOND = 10


class HaltedDecision(BaseModel):
    """A decision that waits. `decision` is the record as compressed JSON; `came_at` is when the stage first read it and
    `since` when this wait began, both in epoch seconds.
    """

    agent: str
    escalates: bool
    came_at: float
    since: float
    reason: str
    traceparent: str
    decision: Base64Bytes


@dataclass(slots=True)
class _Queue:
    """Keys of the table, by the time at which their decisions came. `released_at` is when the last ones were
    released.
    """

    keys: list[tuple[float, str]] = field(default_factory=list)
    released_at: float = 0.0

    def take(self, now: float) -> list[str]:
        """Remove and return the keys that may be released now, the oldest first."""
        self.released_at = min(self.released_at, now)  # the clock may have gone back
        room = min(int((now - self.released_at) * RELEASED_A_SECOND), RELEASED_A_SECOND, len(self.keys))
        if room:
            self.released_at = now
        return [heapq.heappop(self.keys)[1] for _ in range(room)]


class Halted:
    """The waiting decisions of the act stage."""

    table_name = "halted"

    def __init__(self, control: Control, clock: Clock) -> None:
        self._control = control
        self._clock = clock
        self._queues: dict[int, dict[OrderScope, _Queue]] = {}
        # Emitted and not deleted yet. A decision that comes back meanwhile waits again.
        self._released: dict[int, set[str]] = {}
        self.table = Table(self.table_name, HaltedDecision)

    def recovered(self) -> Iterator[None]:
        """Queue the waiting decisions again."""
        before = self._agents()
        self._queues, self._released = {}, {}
        for entries in self.table.slices():
            for partition, key, halted in entries:
                self._push(partition, OrderScope(halted.agent, halted.escalates), halted.came_at, key)
            yield
        self._show(*before, *self._agents())

    def order_against(self, scope: OrderScope) -> ControlCommand | None:
        """The order that holds decisions of the scope."""
        return order_against(self._control.halts(scope.agent), escalates=scope.escalates)

    def is_waiting(self, task: ExecutionTask) -> bool:
        """Whether the decision already waits here, so that the record about it is another copy."""
        key, partition = _key(task), task.writes.partition
        return key not in self._released.get(partition, ()) and self.table.contains(partition, key)

    def is_behind(self, task: ExecutionTask) -> bool:
        """Whether earlier decisions of the same agent wait here."""
        queues = self._queues.get(task.writes.partition)
        queue = queues.get(task.scope) if queues else None
        return queue is not None and bool(queue.keys)

    def hold(self, task: ExecutionTask, reason: str) -> None:
        """Store the decision. One that already waits is not stored again, and its audit record is the same."""
        decision, writes, key = task.execution.received, task.writes, _key(task)
        halted = self.table.get(writes.partition, key)
        if halted is None:
            halted = _halted(task, reason, self._clock().timestamp())
            self.table.put(writes, key, halted)
            self._push(writes.partition, task.scope, halted.came_at, key)
            self._show(decision.case.agent)
        writes.audit(audit_records.halted(decision, halted.reason, key, halted.traceparent, halted.since))

    def tick(self, partition: int, writes: StagedWrites) -> None:
        """Release decisions that no order holds any more."""
        released = self._released.get(partition)
        if released:
            released.intersection_update([key for key in released if self.table.contains(partition, key)])
        for scope, queue in self._queues.get(partition, {}).items():
            if queue.keys and self.order_against(scope) is None:
                for key in queue.take(self._clock().timestamp()):
                    self._release(partition, key, writes)
                self._show(scope.agent)

    def _release(self, partition: int, key: str, writes: StagedWrites) -> None:
        halted = self.table.get(partition, key)
        if halted is None:
            return
        decision, now = Decision.model_validate_json(zlib.decompress(halted.decision)), self._clock()
        writes.continue_trace(halted.traceparent)
        writes.emit(ACT, decision)
        writes.audit(audit_records.goes_on(decision, halted.since, key, halted.traceparent, now))
        # If the process dies before that, the next one emits it again, and the second copy finds that it was executed.
        self.table.delete_after_emit(writes, key)
        self._released.setdefault(partition, set()).add(key)

    def _push(self, partition: int, scope: OrderScope, came_at: float, key: str) -> None:
        queue = self._queues.setdefault(partition, {}).setdefault(scope, _Queue())
        heapq.heappush(queue.keys, (came_at, key))

    def _agents(self) -> set[str]:
        return {scope.agent for queues in self._queues.values() for scope in queues}

    def _show(self, *agents: str) -> None:
        for agent in agents:
            waiting = [
                len(queue.keys)
                for queues in self._queues.values()
                for scope, queue in queues.items()
                if scope.agent == agent
            ]
            WAITING.labels(stage="act", agent=agent, cause=CAUSE).set(sum(waiting))


def _key(task: ExecutionTask) -> str:
    """The key of one wait. A decision that is released and has to wait again gets another key, so that it is not
    deleted with its first wait.
    """
    return ids.composite_key(task.execution.decision.decision_id, str(task.execution.state.halts))


def _halted(task: ExecutionTask, reason: str, now: float) -> HaltedDecision:
    state = task.execution.state
    return HaltedDecision(
        agent=task.scope.agent,
        escalates=task.scope.escalates,
        came_at=(state.came_at or state.at).timestamp(),
        since=now,
        reason=reason,
        traceparent=task.traceparent,
        decision=zlib.compress(task.execution.received.model_dump_json().encode()),
    )
