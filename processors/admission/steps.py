"""A step of a case that waits for its gates."""

from dataclasses import dataclass
from typing import NamedTuple


class Needs(NamedTuple):
    """What a step needs. Steps with equal needs wait in one lane.

    `resources` are the names of the resources whose gates have to be open. `ends_when_spent`: its charter does not let
    it wait for another day.
    """

    resources: frozenset[str]
    ends_when_spent: bool = False


class QueuePlace(NamedTuple):
    """The place in the queue: the smaller is earlier. `arrival` is the sequence number of the case at its agent, and
    `step` distinguishes the steps of one case.
    """

    rank: int
    arrival: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class WaitingStep:
    """A step in the queue, identified by `key`. `until` is when a person gets it, in the time of its agent
    (`stops.py`). `amount_microusd` is its worst price. The first step of a case (`is_first`) waits behind those of
    earlier cases of its subject; a later one does not, because its case has begun. `begins`: it was not admitted
    before. `unanswered_microusd` is what questions without an answer may have cost it so far.
    """

    key: str
    needs: Needs
    order: QueuePlace
    subject: str
    until: float
    amount_microusd: int
    event_type: str
    charter_version: str
    is_first: bool
    begins: bool
    unanswered_microusd: int = 0
