"""The table of decisions that wait for a person, and when each is due. Its times stand still while an agent
is paused.
"""

from collections.abc import Iterator
from datetime import datetime

from nightdesk.processors.execution import scope_of
from nightdesk.streams.api import StagedWrites, Table
from nightdesk.streams.stages.approval_times import ApprovalTimes
from nightdesk.streams.stages.held_decisions import Held
from nightdesk.streams.stages.paused_time import PausedTime

KEPT_S = 30 * 86_400
# The decisions of a paused agent are checked again this often, because their times move.
LOOK_AGAIN_S = 10


class HeldTable:
    """The decisions by id, and their due times."""

    def __init__(self, paused_time: PausedTime) -> None:
        self._paused_time = paused_time
        self._due = ApprovalTimes()
        self.table = Table("approvals", Held)

    def recovered(self) -> Iterator[None]:
        """Derive the due time of each decision again."""
        self._due.clear()
        for entries in self.table.slices():
            for partition, _, held in entries:
                self._due.note(partition, held)
            yield

    def read(self, partition: int, decision_id: str) -> Held | None:
        """The held decision with its times moved by the duration of pauses."""
        held = self.table.get(partition, decision_id)
        if held is None or not held.is_open:
            return held
        return held.shifted(self._paused_time.seconds(partition, scope_of(held.decision)))

    def put(self, held: Held, writes: StagedWrites, answered_at: datetime | None = None) -> None:
        """Store the decision: a waiting one until it has ended, an answered one for as long as the topic may have its
        answer.
        """
        decision_id = held.decision.decision_id
        self.table.put(writes, decision_id, held, answered_at.timestamp() + KEPT_S if answered_at else 0.0)
        self._due.note(writes.partition, held)

    def due(self, partition: int, now: datetime, at_most: int) -> Iterator[Held]:
        """Yields the decisions that are due for a reminder or have expired, each once until it is stored again."""
        self._due.measure(now.timestamp())
        for decision_id in self._due.pop(partition, now.timestamp(), at_most):
            held = self.read(partition, decision_id)
            if held is None or not held.is_open:
                continue
            if held.due_at > now:  # its agent was paused
                self._due.set(partition, decision_id, max(held.due_at.timestamp(), now.timestamp() + LOOK_AGAIN_S))
            else:
                yield held

    def look_again(self, held: Held, partition: int) -> None:
        """Yield the decision in `due` at its next time."""
        self._due.set(partition, held.decision.decision_id, held.due_at.timestamp())
