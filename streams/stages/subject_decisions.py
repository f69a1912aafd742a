"""The model of an agent's decisions about one subject that wait for a person or were approved."""

from collections.abc import Iterable
from datetime import datetime
from typing import Self, TypeVar

from pydantic import BaseModel

from nightdesk.schemas.approval_details import OtherDecision
from nightdesk.schemas.records import Decision

# For one agent and subject. Beyond it the oldest is forgotten and not shown in new requests.
OPEN_AT_MOST = 100
APPROVED_AT_MOST = 20
SHOWN_AT_MOST = 25
PARAMETERS_CHARACTERS_AT_MOST = 1000


class OpenDecision(BaseModel):
    """A decision about the subject that waits for a person."""

    decision_id: str
    action: str
    parameters: str

    @classmethod
    def of(cls, decision: Decision) -> Self:
        """The entry for a decision, with only the beginning of long parameters."""
        parameters = decision.parameters[:PARAMETERS_CHARACTERS_AT_MOST]
        return cls(decision_id=decision.decision_id, action=decision.action, parameters=parameters)


class ApprovedDecision(OpenDecision):
    """A decision that a person approved."""

    approved_at: datetime


D = TypeVar("D", bound=OpenDecision)


class TakenBack(BaseModel):
    """A decision that the record of an event at `place` took back."""

    decision_id: str
    place: str


class SubjectDecisions(BaseModel):
    """The decisions of one agent about one subject that wait for a person, and the last ones that were approved or
    taken back by a newer event.
    """

    open: tuple[OpenDecision, ...] = ()
    approved: tuple[ApprovedDecision, ...] = ()
    taken_back: tuple[TakenBack, ...] = ()

    def may_be_taken_back(self, place: str) -> tuple[str, ...]:
        """The ids of the waiting decisions, and of those that the record at this place took back when it was first
        read.
        """
        again = (one.decision_id for one in self.taken_back if one.place == place)
        return (*again, *(other.decision_id for other in self.open))

    def with_taken_back(self, decision_id: str, place: str) -> Self:
        """The entry after an event took a decision back."""
        found = (*self.taken_back, TakenBack(decision_id=decision_id, place=place))[-OPEN_AT_MOST:]
        return self.without(decision_id).model_copy(update={"taken_back": found})

    def with_open(self, decision: Decision) -> Self:
        """The entry with one more waiting decision."""
        if any(other.decision_id == decision.decision_id for other in self.open):
            return self
        found = (*self.open, OpenDecision.of(decision))[-OPEN_AT_MOST:]
        return self.model_copy(update={"open": found})

    def without(self, decision_id: str) -> Self:
        """The entry without a decision that was answered."""
        found = tuple(other for other in self.open if other.decision_id != decision_id)
        return self if len(found) == len(self.open) else self.model_copy(update={"open": found})

    def with_approved(self, decision: Decision, now: datetime) -> Self:
        """The entry with one more approved decision."""
        if any(other.decision_id == decision.decision_id for other in self.approved):
            return self
        one = ApprovedDecision(**OpenDecision.of(decision).__dict__, approved_at=now)
        return self.model_copy(update={"approved": (*self.approved, one)[-APPROVED_AT_MOST:]})

    def others_open(self, decision: Decision) -> tuple[OpenDecision, ...]:
        """The other waiting decisions for the same action."""
        return _others(self.open, decision)

    def others_approved(self, decision: Decision) -> tuple[ApprovedDecision, ...]:
        """The other approved decisions for the same action."""
        return _others(self.approved, decision)

    def shown_beside(self, decision: Decision) -> tuple[OtherDecision, ...]:
        """The other decisions for the same action, as an approver sees them: the newest approved ones, then the newest
        waiting ones.
        """
        approved = reversed(self.others_approved(decision))
        waiting = reversed(self.others_open(decision))
        shown = (
            *(_shown(other, other.approved_at) for other in approved),
            *(_shown(other, None) for other in waiting),
        )
        return shown[:SHOWN_AT_MOST]


def _shown(other: OpenDecision, approved_at: datetime | None) -> OtherDecision:
    return OtherDecision(decision_id=other.decision_id, parameters=other.parameters, approved_at=approved_at)


def _others(found: Iterable[D], decision: Decision) -> tuple[D, ...]:
    return tuple(
        other for other in found if other.action == decision.action and other.decision_id != decision.decision_id
    )
