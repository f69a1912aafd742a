"""What is known of the money of one step of a case. Kept by the budget stage, shown by `nightdesk budget`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

# A fact whose money is settled stays so long, so that a late duplicate of its lines meets it.
KEPT_S = 2 * 86_400

# `unknown`: held, and nobody ever said what it cost, so that all of it counts as spent until somebody does.
FactState = Literal["open", "settled", "unknown", "refused", "deferred", "escalated"]

WHOLE = ""


class Fact(BaseModel):
    """`at` is when the money was asked for. `until` is when a deferred step is worth another try, and when what is held
    for an open one has waited long enough. `held_actions` may each turn out to be what the money is spent on;
    `closed_actions` may not. The last three say how the step went, where its charter watches for anomalies.
    """

    model_config = ConfigDict(frozen=True)

    agent: str
    case_id: str
    state: FactState
    day: str
    at: float
    reserved_microusd: int = 0
    spent_microusd: int = 0
    tokens: int = 0
    until: float = 0.0
    tries: int = 0
    reason: str = ""
    step: int = 0
    event_type: str = ""
    action: str = ""
    held_actions: tuple[str, ...] = ()
    closed_actions: tuple[str, ...] = ()
    settled_at: float = 0.0
    low_confidence: bool = False
    failed: bool = False
    ended_at: float = 0.0

    @property
    def admitted(self) -> bool:
        """Whether it counts against the agent's rate, which is of cases and not of their steps."""
        return self.step == 0 and self.state in ("open", "settled", "unknown")

    @property
    def kept_until(self) -> float:
        """When it is looked at again: an open one expires, one that is over is forgotten. 0 is never."""
        if self.state == "deferred":
            return 0.0
        return self.until if self.state == "open" else max(self.at, self.settled_at) + KEPT_S

    def tasks(self) -> Iterator[str]:
        """The purses of its day that it counts in: the whole, its event type's, and its action's."""
        yield WHOLE
        if self.event_type:
            yield event_task(self.event_type)
        if self.state in ("open", "unknown"):
            yield from map(action_task, self.held_actions)
        elif self.action:
            yield action_task(self.action)


def event_task(event_type: str) -> str:
    """The name of an event type's purse."""
    return f"event:{event_type}"


def action_task(action: str) -> str:
    """The name of an action's purse."""
    return f"action:{action}"


def day_of(now: datetime) -> str:
    """The budget's day, in UTC."""
    return now.astimezone(UTC).date().isoformat()
