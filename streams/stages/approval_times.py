"""The decisions that wait for a person: when each is due, how many each agent has, and the age of the oldest."""

from collections import defaultdict

from nightdesk.streams.metrics import OLDEST_APPROVAL, WAITING
from nightdesk.streams.stages.due_times import DueTimes
from nightdesk.streams.stages.held_decisions import Held

CAUSE = "approval"
# Every partition ticks several times a second, and all partitions are measured together.
EVERY_S = 5.0


class ApprovalTimes(DueTimes):
    """The waiting decisions by due time, derived from the table after every assignment."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: dict[tuple[int, str], tuple[str, float]] = {}
        self._agents: set[str] = set()
        self._measured_at = 0.0

    def clear(self) -> None:
        """Forget all decisions and remove the gauges, because another worker may have these agents now."""
        super().clear()
        self._asked.clear()
        for agent in self._agents:
            WAITING.remove("act", agent, CAUSE)
            OLDEST_APPROVAL.remove(agent)
        self._agents.clear()
        self._measured_at = 0.0

    def note(self, partition: int, held: Held) -> None:
        """Note a decision that waits or was answered."""
        decision = held.decision
        place = (partition, decision.decision_id)
        if held.is_open:
            self.set(*place, held.due_at.timestamp())
            self._asked[place] = (decision.case.agent, decision.decided_at.timestamp())
        else:
            self._asked.pop(place, None)

    def measure(self, now: float) -> None:
        """Set the gauges, unless they were just set. `now` is in epoch seconds."""
        if abs(now - self._measured_at) < EVERY_S:
            return
        self._measured_at = now
        asked = defaultdict[str, list[float]](list)
        for agent, asked_at in self._asked.values():
            asked[agent].append(asked_at)
        self._agents |= asked.keys()
        for agent in self._agents:
            times = asked[agent]
            WAITING.labels(stage="act", agent=agent, cause=CAUSE).set(len(times))
            OLDEST_APPROVAL.labels(agent=agent).set(max(0.0, now - min(times)) if times else 0.0)
