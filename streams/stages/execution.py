"""The execution of a decision in the act stage, and the table that stores its state."""

from dataclasses import dataclass
from datetime import datetime

from nightdesk.processors.execution import Execution, ExecutionState, OrderScope
from nightdesk.schemas import ids
from nightdesk.schemas.records import Case
from nightdesk.streams.api import Clock, Commit, StagedWrites, Table

KEPT_S = 30 * 86_400


@dataclass(slots=True)
class ExecutionTask:
    """One record about a decision while it is handled. `scope` says which orders the decision waits for, and `place` is
    the record's place in the log.

    `execution` is replaced by `Calls.advance`, and by `is_new_wait` when the decision leaves.
    """

    execution: Execution
    scope: OrderScope
    traceparent: str
    place: str
    writes: StagedWrites

    def is_new_wait(self, cause: str) -> bool:
        """Whether the audit has to say that the decision waits. It does once for each cause, however often the call is
        tried before its step is over; a record that is delivered again says so again.
        """
        state = self.execution.state
        if state.told.get(cause, self.place) != self.place:
            return False
        told = {**state.told, cause: self.place}
        self.execution = self.execution.having(state=state.model_copy(update={"told": told}))
        return True


class ProgressTable:
    """The stored states of decisions, by decision id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.table = Table("progress", ExecutionState)
        self._commit: Commit

    def bind(self, commit: Commit) -> None:
        self._commit = commit

    def read(self, partition: int, decision_id: str) -> ExecutionState:
        """The state of a decision; a new one if none is stored."""
        state, now = self.table.get(partition, decision_id), self._clock()
        return ExecutionState(at=now, came_at=now) if state is None else state.as_of(now)

    def read_step_before(self, partition: int, case: Case) -> ExecutionState | None:
        """The state of the case's previous step; None for the first step or if none is stored."""
        return self.table.get(partition, ids.decision_id(case.case_id, case.step - 1)) if case.step else None

    def remember(self, task: ExecutionTask, writes: StagedWrites | None = None, until: datetime | None = None) -> None:
        """Stage the state in the writes of the record, or in other ones.

        It expires after `until`, when the case continues, plus the time for which the topic keeps the decision.
        """
        now = self._clock()
        expires_at = max(now, until or now).timestamp() + KEPT_S
        self.table.put(writes or task.writes, task.execution.decision.decision_id, task.execution.state, expires_at)

    def remember_until_resumed(self, task: ExecutionTask) -> None:
        """Stage the state of a decision that waits for an order. It does not expire, because nobody knows how long the
        order lasts.
        """
        self.table.put(task.writes, task.execution.decision.decision_id, task.execution.state)

    async def save(self, task: ExecutionTask) -> None:
        """Make the state durable before anything else happens."""
        durable = task.writes.empty()
        self.remember(task, durable)
        await self._commit(durable)
