"""The commands of the transition table: what the act stage does next."""

from dataclasses import dataclass
from typing import Literal

from nightdesk.processors.execution.state import RateGrant
from nightdesk.processors.execution.types import RateUse
from nightdesk.processors.playbook import Ending
from nightdesk.schemas.records import RateRequest, StepOutcome


@dataclass(frozen=True, slots=True)
class Hold:
    """Ask a person, unless one was asked."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class RunPlaybook:
    """Ask the playbook for its next step. The answer is `StepDue` or `PlaybookEnded`."""


@dataclass(frozen=True, slots=True)
class Continue:
    """Give the playbook the outcome of its step. The answer is `StepDue` or `PlaybookEnded`."""

    outcome: StepOutcome


@dataclass(frozen=True, slots=True)
class ConfirmOrders:
    """Wait until every older order is known here. The answer is `OrdersConfirmed`."""


@dataclass(frozen=True, slots=True)
class TakeSlot:
    """Space the call from others of this worker under the limit. The answer is `SlotTaken` or `SlotRefused`."""

    use: RateUse
    grant: RateGrant


@dataclass(frozen=True, slots=True)
class Save:
    """Make the state durable. The answer is `Saved`."""


@dataclass(frozen=True, slots=True)
class MakeCall:
    """Make the call of the step. The answer is `CallEnded` or `CircuitShut`."""


@dataclass(frozen=True, slots=True)
class RequestGrant:
    """Store the state and request a grant. The decision comes back with the grant."""

    request: RateRequest


# `rate`: for a place among the calls at once; `away`: for the system that the step calls; `again`: before another try.
WaitCause = Literal["rate", "away", "again"]


@dataclass(frozen=True, slots=True)
class WaitForTimer:
    """Store the state, and handle the decision again after this many seconds. Waits of one `cause` are one wait."""

    after_s: float
    reason: str
    cause: WaitCause = "again"


@dataclass(frozen=True, slots=True)
class WaitForOrder:
    """Store the state, and handle the decision again when no order holds it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Conclude:
    """Store the state and record the end of the decision."""

    ending: Ending


Command = (
    Hold
    | RunPlaybook
    | Continue
    | ConfirmOrders
    | TakeSlot
    | Save
    | MakeCall
    | RequestGrant
    | WaitForTimer
    | WaitForOrder
    | Conclude
)
