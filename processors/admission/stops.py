"""What an order to stop does to an agent's queue: which steps wait for its end, and that the agent's clock stands
still.
"""

from dataclasses import dataclass, replace

from nightdesk.processors.admission.gates import Shut
from nightdesk.processors.admission.needs import AGENT, MODEL
from nightdesk.schemas.persons import shown_order
from nightdesk.schemas.records import ControlCommand


@dataclass(frozen=True, slots=True)
class AgentClock:
    """The time of an agent, which stands still while an order stops it, so that an order does not make waiting steps
    overdue.

    `stopped_since` is epoch seconds, and None while it runs; `stood_still_s` is how long it stood still before.
    """

    stopped_since: float | None = None
    stood_still_s: float = 0.0

    def at(self, now: float) -> float:
        """The agent's time at `now`."""
        return (now if self.stopped_since is None else self.stopped_since) - self.stood_still_s

    def stopped_for_s(self, before_s: float, now: float) -> float:
        """How long it has stood still in total, without the first `before_s` seconds."""
        return max(0.0, now - self.at(now) - before_s)

    def stopped(self, since: float) -> "AgentClock":
        """The clock as it stands still from `since` on; unchanged if it stands still already."""
        return self if self.stopped_since is not None else replace(self, stopped_since=since)

    def started(self, now: float) -> "AgentClock":
        """The clock as it runs; unchanged if it runs already."""
        if self.stopped_since is None:
            return self
        return AgentClock(None, self.stood_still_s + max(now - self.stopped_since, 0.0))


def shut_by(order: ControlCommand | None) -> Shut | None:
    """The gate that the order shuts: a pause shuts the one for questions to models, a stop of all agents the one for
    every step.
    """
    if order is None:
        return None
    return Shut("paused", AGENT if order.kind == "stop_all" else MODEL, shown_order(order))
