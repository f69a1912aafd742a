"""The events that the act stage feeds into the transition table: a record that was read, or the result of a command.

Events and commands are no tuples, because tuples of different types with the same fields are equal.
"""

from dataclasses import dataclass
from datetime import datetime

from nightdesk.processors.charter.compiled import CompiledCharter
from nightdesk.processors.execution.state import ExecutionState, RateGrant
from nightdesk.processors.execution.types import StepPolicy
from nightdesk.processors.playbook import Ending, RunStep, StepResult
from nightdesk.processors.playbook.absence import Moment
from nightdesk.schemas import records
from nightdesk.schemas.records import ControlCommand

# -- what was read


@dataclass(frozen=True, slots=True)
class Known:
    """Knowledge from other tables: the hash of what a person was shown, how the previous step of the case ended, and
    another decision for the same action and subject that waits for a person. `ended_under` is the charter with which
    the decision ended.
    """

    held_sha256: str | None = None
    step_before: ExecutionState | None = None
    other_open: str | None = None
    ended_under: CompiledCharter | None = None


@dataclass(frozen=True, slots=True)
class DecisionRead:
    """The decision was read, for the first time or again. `replay_of` is the dead letter that a person replayed."""

    known: Known = Known()
    replay_of: str | None = None


@dataclass(frozen=True, slots=True)
class GrantRead:
    """The budget stage granted a call under its limit."""

    known: Known
    purpose: str
    grant: RateGrant


@dataclass(frozen=True, slots=True)
class ApprovalRead:
    """A person approved the decision."""

    person: str


@dataclass(frozen=True, slots=True)
class ApprovalExpired:
    """Nobody answered before `expired_at`."""

    expired_at: datetime


@dataclass(frozen=True, slots=True)
class Reconsidered:
    """A newer event took the decision back while it waited for a person."""

    by: records.Event


# -- the result of a command


@dataclass(frozen=True, slots=True)
class StepDue:
    """The playbook asks for a step. `cached` is the cached result of the same call (JSON text), if there is one."""

    step: RunStep
    policy: StepPolicy
    cached: str | None = None


@dataclass(frozen=True, slots=True)
class PlaybookEnded:
    """The playbook has no further step."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class OrdersConfirmed:
    """Every older order is known. `order` is the one that the decision has to wait for, if any. `shut_for_s` is how
    long the circuit stays open. `is_waiting`: the decision already waits for an order. `others_wait`: earlier decisions
    do, too.
    """

    order: ControlCommand | None = None
    shut_for_s: float = 0.0
    is_waiting: bool = False
    others_wait: bool = False


@dataclass(frozen=True, slots=True)
class SlotTaken:
    """This worker may make the call now."""


@dataclass(frozen=True, slots=True)
class SlotRefused:
    """This worker has just made too many calls under the limit."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Saved:
    """The state is durable."""


@dataclass(frozen=True, slots=True)
class CircuitShut:
    """The call was not made, because another one probes whether the system is back."""

    shut_for_s: float


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The handler's result. `ended_at` is a reading of this process's steady clock. `is_away`: a repeatable call found
    its circuit open, for another `shut_for_s` seconds.
    """

    result: StepResult
    ended_at: Moment
    is_away: bool = False
    shut_for_s: float = 0.0


Event = (
    DecisionRead
    | GrantRead
    | ApprovalRead
    | ApprovalExpired
    | Reconsidered
    | StepDue
    | PlaybookEnded
    | OrdersConfirmed
    | SlotTaken
    | SlotRefused
    | Saved
    | CircuitShut
    | CallEnded
)
