"""The money of one step of a case. The budget stage stores it, and `nightdesk budget` shows it."""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Literal

from pydantic import BaseModel, ConfigDict

from nightdesk.schemas.records import StepCause

# How long a settled fact is kept, so that a late duplicate entry finds it.
KEPT_S = 2 * 86_400

# `unknown`: reserved and never settled, so all of it counts as spent until a person corrects it.
FactState = Literal["open", "settled", "unknown", "refused", "escalated", "returned"]

AGENT_TOTAL = ""


class Fact(BaseModel):
    """`at` is when the step was admitted, escalated or refused. `until` is when the reservation of an open step
    expires. `arrival` is the number of its case's arrival at the agent (`processors/admission`). `spent_microusd` is
    the reported cost of the step, and `corrected_microusd` the cost that a person set instead. `held_actions` are the
    actions that the money may still be spent on; `closed_actions` may not be chosen. `cause` is the kind of
    `reason`. `returns` counts how often decide gave the step back; what that may have cost is spent. `paused_s` is how
    long an order stopped its agent during its last wait. `is_probe`: it went on to find out whether models answer. The
    last fields say how the step ended, if its charter watches for anomalies.
    """

    model_config = ConfigDict(frozen=True)

    agent: str
    case_id: str
    state: FactState
    day: str
    at: float
    arrival: int = 0
    reserved_microusd: int = 0
    spent_microusd: int = 0
    corrected_microusd: int | None = None
    tokens: int = 0
    until: float = 0.0
    reason: str = ""
    cause: StepCause = ""
    step: int = 0
    event_type: str = ""
    action: str = ""
    held_actions: tuple[str, ...] = ()
    closed_actions: tuple[str, ...] = ()
    returns: int = 0
    paused_s: float = 0.0
    is_probe: bool = False
    settled_at: float = 0.0
    low_confidence: bool = False
    refused: bool = False
    undecided: bool = False
    latency_ms: int = 0
    failed: bool = False
    ended_at: float = 0.0

    @property
    def counted_microusd(self) -> int:
        """What counts against the budget: never more than was reserved, whatever a provider claims, unless a person
        corrects it.
        """
        if self.corrected_microusd is not None:
            return self.corrected_microusd
        return min(self.spent_microusd, self.reserved_microusd) if self.reserved_microusd else self.spent_microusd

    @property
    def not_counted_microusd(self) -> int:
        """The claimed cost beyond the reservation, until a person has corrected it."""
        return 0 if self.corrected_microusd is not None else self.spent_microusd - self.counted_microusd

    @property
    def admitted(self) -> bool:
        """Whether it counts against the agent's rate, which limits cases and not steps. A step that was given back was
        admitted before.
        """
        return self.step == 0 and self.is_counted

    @property
    def is_counted(self) -> bool:
        """Whether it counts in the balances of its day."""
        return self.state in ("open", "settled", "unknown") or self.returns > 0

    @property
    def kept_until(self) -> float:
        """When the fact is due: then an open one expires, and a finished one is deleted. 0 means never, because its
        step waits.
        """
        if self.state == "returned":
            return 0.0
        return self.until if self.state == "open" else max(self.at, self.settled_at) + KEPT_S

    def tasks(self) -> Iterator[str]:
        """The scopes of its day that it counts in: the whole day, its event type, and its action."""
        yield AGENT_TOTAL
        if self.event_type:
            yield event_scope(self.event_type)
        if self.state in ("open", "unknown"):
            yield from map(action_scope, self.held_actions)
        elif self.action:
            yield action_scope(self.action)


def event_scope(event_type: str) -> str:
    """The name of an event type's scope."""
    return f"event:{event_type}"


def action_scope(action: str) -> str:
    """The name of an action's scope."""
    return f"action:{action}"


def day_of(now: datetime, zone: tzinfo = UTC) -> str:
    """The budget's day, in its time zone."""
    return now.astimezone(zone).date().isoformat()
