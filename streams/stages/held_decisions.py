"""The model of a decision that waits for a person.

It stores absolute times, so that a pause only has to shift them.
"""

from datetime import datetime, timedelta
from typing import Self

import orjson
from pydantic import BaseModel

from nightdesk.processors.charter.actions import Action
from nightdesk.processors.conditions import is_met
from nightdesk.processors.four_eyes import ApprovalRule
from nightdesk.processors.provenance import card_sha256
from nightdesk.schemas.audit import Identity
from nightdesk.schemas.records import CancelCondition, Decision, Event
from nightdesk.streams.stages.subject_decisions import SubjectDecisions

APPROVAL_TABLES = ("approvals", "subject_decisions", "newer_events")
# Approvals that were not enough alone. Beyond it the oldest is forgotten.
AGREEMENTS_AT_MOST = 20


class Agreement(BaseModel):
    """A person's approval of what had this hash, read at `place`, while `missing` further persons had to approve."""

    person: str
    identity: Identity
    place: str
    payload_sha256: str
    missing: int


class Held(BaseModel):
    """A decision that waits, or how it was answered.

    `payload_sha256` is the hash of what was shown last, and `changes` counts how often that has changed. `one_open`:
    approvals of other decisions for the same action and subject have to be shown. `replays` is how often the decision's
    dead letter was replayed. `remind_at` are the times of the reminders to come, `reminders` counts those that were
    emitted, the last because of the record at `reminded_at`. All times assume that the agent has been paused for
    `paused_s` seconds in total. `taken_back_by` is an event that came while the case was being decided, so that nobody
    was asked. `rule` is who has to approve, as it was shown last; `agreements` are the approvals that were not enough
    alone, and `edited` are the parameters that one of these persons put in place of the decision's own.
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
    rule: ApprovalRule = ApprovalRule()
    agreements: tuple[Agreement, ...] = ()
    edited: str | None = None

    @property
    def shown(self) -> Decision:
        """The decision as people see it: with the parameters that somebody put in place of its own."""
        return self.decision if self.edited is None else self.decision.model_copy(update={"parameters": self.edited})

    @property
    def agreed(self) -> tuple[Agreement, ...]:
        """The approvals of what is shown now."""
        return tuple(one for one in self.agreements if one.payload_sha256 == self.payload_sha256)

    def under(self, rule: ApprovalRule) -> Self:
        """The decision with the rule of who approves it. The same object if it has not changed."""
        return self if rule == self.rule else self.model_copy(update={"rule": rule, "changes": self.changes + 1})

    def asked_again(self, replays: int) -> dict[str, object]:
        """What of it remains when people are asked again: earlier approvals are known, and do not count any more."""
        known = tuple(one.model_copy(update={"payload_sha256": ""}) for one in self.agreements)
        return {"replays": replays, "changes": self.changes + 1, "agreements": known}

    def agreement_at(self, place: str) -> Agreement | None:
        """The approval that was read at this place, for a redelivered one."""
        return next((one for one in self.agreements if one.place == place), None)

    def edited_by(self, parameters: str | None, others: SubjectDecisions) -> Self:
        """The decision with these parameters instead; approvals of what was shown before do not count then."""
        if parameters is None:
            return self
        edited = orjson.dumps(orjson.loads(parameters)).decode()
        return self.model_copy(update={"edited": edited}).showing(others)

    def refusal(self, person: str) -> str:
        """Why this person's approval of what is shown does not count; empty if it does."""
        return self.rule.refusal(person, [one.person for one in self.agreed])

    def missing_with(self, person: str) -> int:
        """How many further persons have to approve what is shown after this one."""
        return self.rule.missing([*(one.person for one in self.agreed), person])

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

    def showing(self, others: SubjectDecisions) -> Self:
        """The decision with the hash of what is shown beside these others. The same object if the hash has
        not changed.
        """
        approved = others.others_approved(self.decision) if self.one_open else ()
        shown = card_sha256(self.shown, [other.decision_id for other in approved])
        if shown == self.payload_sha256:
            return self
        return self.model_copy(update={"payload_sha256": shown, "changes": self.changes + 1})

    def reminded(self, place: str, now: datetime) -> Self:
        """The decision after the reminders that are due at `now`; several that are due together count as one."""
        to_come = tuple(at for at in self.remind_at if at > now)
        update = {"remind_at": to_come, "reminders": self.reminders + 1, "reminded_at": place}
        return self.model_copy(update=update)


def agreed(held: Held, person: str, identity: Identity, place: str, missing: int) -> Held:
    """The decision after one approval, which was not enough alone."""
    one = Agreement(person=person, identity=identity, place=place, payload_sha256=held.payload_sha256, missing=missing)
    kept = (*held.agreements, one)[-AGREEMENTS_AT_MOST:]
    return held.model_copy(update={"agreements": kept, "changes": held.changes + 1})


def hold(
    decision: Decision, policy: Action, others: SubjectDecisions, reason: str, traceparent: str, now: datetime
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
