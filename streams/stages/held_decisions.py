"""The models of the approvals' tables: a decision that waits for a person, and the decisions about one subject.

`Held` stores absolute times, so that a pause only has to shift them.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Self, TypeVar

from pydantic import BaseModel

from nightdesk.processors.charter.actions import Action
from nightdesk.processors.conditions import is_met
from nightdesk.processors.provenance import card_sha256
from nightdesk.schemas.audit import OtherDecision
from nightdesk.schemas.records import CancelCondition, Decision, Event

APPROVAL_TABLES = ("approvals", "subject_decisions", "newer_events")
# For one agent and subject. Beyond it the oldest is forgotten and not shown in new requests.
OPEN_AT_MOST = 100
APPROVED_AT_MOST = 20
SHOWN_AT_MOST = 25
PARAMETERS_CHARACTERS_AT_MOST = 1000


class Held(BaseModel):
    """A decision that waits, or how it was answered.

    `payload_sha256` is the hash of what was shown last, and `changes` counts how often that has changed. `one_open`:
    approvals of other decisions for the same action and subject have to be shown. `replays` is how often the decision's
    dead letter was replayed. `remind_at` are the times of the reminders to come, `reminders` counts those that were
    emitted, the last because of the record at `reminded_at`. All times assume that the agent has been paused for
    `paused_s` seconds in total. `taken_back_by` is an event that came while the case was being decided, so that nobody
    was asked.
    """

    decision: Decision
    payload_sha256: str
    expires_at: datetime
    remind_at: tuple[datetime, ...] = ()
    reminders: int = 0
    reminded_at: str = ""
    changes: int = 0
    replays: int = 0
    paused_s: float = 0.0
    one_open: bool = False
    reconsider_on: tuple[CancelCondition, ...] = ()
    reason: str = ""
    answered_by: str | None = None
    taken_back_by: Event | None = None
    verdict: str | None = None
    traceparent: str = ""

    @property
    def due_at(self) -> datetime:
        """The time of the next reminder or of the expiry."""
        return min((*self.remind_at, self.expires_at))

    @property
    def is_open(self) -> bool:
        """Whether nobody has answered yet."""
        return self.verdict is None

    def is_taken_back_by(self, event: Event, at: datetime) -> bool:
        """Whether an event of the subject that came at `at` is a reason to decide again: it came after the case, and
        the case does not know it. `received_at` is not compared, because it moves when a case is decided again.
        """
        case = self.decision.case
        case_at = case.case_at or case.received_at
        known = (case.event, *(past.interrupted_by for past in case.history if past.interrupted_by is not None))
        is_known = any((event.source, event.id) == (one.source, one.id) for one in known)
        return self.is_open and at > case_at and not is_known and is_met(self.reconsider_on, event)

    def taken_back(self, event: Event, answered_by: str) -> Self:
        """The decision after an earlier event took it back, so that nobody is asked."""
        update = {"verdict": "reconsider", "answered_by": answered_by, "taken_back_by": event}
        return self.model_copy(update=update)

    def is_asked_again(self, replays: int) -> bool:
        """Whether a person replayed the dead letter of its expiry."""
        return self.verdict == "expire" and self.replays < replays

    def shifted(self, paused_s: float) -> Self:
        """The decision with its times moved to `paused_s` seconds of pauses in total, because the decisions of a paused
        agent do not expire. The same object if nothing changes.
        """
        longer = timedelta(seconds=paused_s - self.paused_s)
        if longer <= timedelta():
            return self
        remind_at = tuple(at + longer for at in self.remind_at)
        update = {"expires_at": self.expires_at + longer, "remind_at": remind_at, "paused_s": paused_s}
        return self.model_copy(update=update)

    def showing(self, others: "SubjectDecisions") -> Self:
        """The decision with the hash of what is shown beside these others. The same object if the hash has
        not changed.
        """
        approved = others.others_approved(self.decision) if self.one_open else ()
        shown = card_sha256(self.decision, [other.decision_id for other in approved])
        if shown == self.payload_sha256:
            return self
        return self.model_copy(update={"payload_sha256": shown, "changes": self.changes + 1})

    def reminded(self, place: str, now: datetime) -> Self:
        """The decision after the reminders that are due at `now`; several that are due together count as one."""
        to_come = tuple(at for at in self.remind_at if at > now)
        update = {"remind_at": to_come, "reminders": self.reminders + 1, "reminded_at": place}
        return self.model_copy(update=update)


def hold(
    decision: Decision, policy: Action, others: "SubjectDecisions", reason: str, traceparent: str, now: datetime
) -> Held:
    """A decision that is held from `now` on, with all its times."""
    one_open = policy.one_open_per == "subject"
    approved = others.others_approved(decision) if one_open else ()
    reminders = (now + timedelta(seconds=policy.approval_expires * share) for share in policy.approval_reminders)
    return Held(
        decision=decision,
        payload_sha256=card_sha256(decision, [other.decision_id for other in approved]),
        expires_at=now + timedelta(seconds=policy.approval_expires),
        remind_at=tuple(reminders),
        one_open=one_open,
        reconsider_on=tuple(condition.recorded for condition in policy.reconsider_on),
        reason=reason,
        traceparent=traceparent,
    )


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
