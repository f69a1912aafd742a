"""The gates: everything that a step may have to wait for, and what opens each gate.

A gate is shut for a *resource*: the agent's rate, the money of its day, the money of one event type. Every step that
needs the resource waits while it is shut, so that no later step takes what an earlier one waits for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

GateName = Literal["charter", "paused", "unavailable", "release", "rate", "held", "spent", "order"]


@dataclass(frozen=True, slots=True)
class Gate:
    """`waits_for` completes "the case waits for ...". `opened_by` says what lets the next step go on."""

    waits_for: str
    opened_by: str


GATES: Mapping[GateName, Gate] = {
    "charter": Gate("its charter version", "the order that applies this version"),
    "paused": Gate("an order that lets its agent go on", "the order; no clock"),
    "unavailable": Gate("a model that answers", "a step that a model has answered; one step at a time finds out"),
    "release": Gate(
        "its place in the slow start after a pause or an outage", "time: twice as many go on every ten seconds"
    ),
    "rate": Gate("the agent's rate limit", "the time at which an earlier case leaves the limit's period"),
    "held": Gate(
        "money that other steps had reserved when it came, and may have spent since",
        "a step that is settled, or whose reservation expires",
    ),
    "spent": Gate("the money of another day", "the budget's next day, or a correction of this one's costs"),
    "order": Gate("earlier steps", "the start of those steps"),
}


class Shut(NamedTuple):
    """A gate that is shut for a resource, with the reason for people. `opens_at` is in epoch seconds; 0 if the gate
    opens by an event and not by time.
    """

    gate: GateName
    resource: str
    reason: str
    opens_at: float = 0.0
