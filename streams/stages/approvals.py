"""Approvals: a decision that needs a person waits in a table, and everything else goes on.

Part of the act stage (the same partition holds the decision and its answer). What a person saw is bound by hash: an
answer to anything else changes nothing. The first answer wins, an expiry is an answer that `later` sends.
"""

from datetime import datetime, timedelta

import orjson
from pydantic import BaseModel

from processors.playbook import Ending
from processors.provenance import payload_sha256
from schemas import ids
from schemas.records import ApprovalReply, AuditRecord, Decision, Reminder
from schemas.topics import APPROVALS, LATER
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.policy import Clock
from streams.runtime.tables import FactTable
from streams.stages import audit
from streams.stages.facts import stored

EXPIRES_AFTER = timedelta(hours=72)
KEPT_S = 30 * 86_400
EXPIRY = "nightdesk: nobody answered in time"


class Held(BaseModel):
    """A decision that waits, or how it was answered."""

    decision: Decision
    payload_sha256: str
    expires_at: datetime
    reason: str = ""
    answered_by: str | None = None
    verdict: str | None = None


class Approvals:
    """The waiting decisions of the act stage."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: FactTable

    def bind(self, tables: dict[str, FactTable]) -> None:
        self._held = tables["approvals"]

    def payload_held(self, decision: Decision, changes: Changes) -> str | None:
        """What is held under this decision's id, answered or not. The hash that was shown may be an older program's."""
        held = self._read(changes.partition, decision.decision_id)
        return None if held is None else payload_sha256(held.decision)

    def hold(self, decision: Decision, traceparent: str, changes: Changes, reason: str = "") -> None:
        """Put the decision aside; one that is held already says the same and changes nothing."""
        now = self._clock()
        held = self._read(changes.partition, decision.decision_id)
        if held is None:
            shown, until = payload_sha256(decision), now + EXPIRES_AFTER
            held = Held(decision=decision, payload_sha256=shown, expires_at=until, reason=reason)
            changes.put(self._held, decision.decision_id, stored(held))
        changes.audit(_asked(held, traceparent, now))
        changes.emit(LATER, _expiry(held, traceparent, changes))

    def take(self, delivery: Delivery[ApprovalReply], changes: Changes, now: datetime) -> Decision | None:
        """The decision to go on with, as it was approved; None when it ends here or the answer counts for nothing."""
        reply = delivery.record
        held = self._read(delivery.partition, reply.decision_id)
        place = f"{delivery.partition}:{delivery.offset}"
        if held is None or (held.verdict is not None and held.answered_by != f"{reply.person}@{place}"):
            reason = "no decision waits under this id" if held is None else f"it was answered before: {held.verdict}"
            changes.audit(audit.void_approval(reply, reason, place, delivery.traceparent, now))
            return None
        if (wrong := _problem_with(reply, held)) is not None:
            changes.audit(audit.void_approval(reply, wrong, place, delivery.traceparent, now))
            return None
        answered = held.model_copy(update={"answered_by": f"{reply.person}@{place}", "verdict": reply.verdict})
        kept_until = now.timestamp() + KEPT_S
        changes.put(self._held, reply.decision_id, stored(answered), kept_until)
        decision = held.decision
        changes.audit(_answered(reply, decision, place, delivery.traceparent, now))
        if reply.verdict == "reject":
            self._end(decision, reply, delivery.traceparent, changes, now)
            return None
        if reply.parameters is not None:
            return decision.model_copy(update={"parameters": orjson.dumps(orjson.loads(reply.parameters)).decode()})
        return decision

    def _end(self, decision: Decision, reply: ApprovalReply, traceparent: str, changes: Changes, now: datetime) -> None:
        reason = f"rejected by {reply.person}: {reply.reason}"
        ending = Ending("refused", (), None, (), reason)
        changes.audit(audit.acted(decision, (), ending.status, reason, traceparent, now))

    def _read(self, partition: int, decision_id: str) -> Held | None:
        value = self._held.read(partition, decision_id)
        return None if value is None else Held.model_validate_json(value)


def _problem_with(reply: ApprovalReply, held: Held) -> str | None:
    """Why an answer counts for nothing."""
    if reply.payload_sha256 != held.payload_sha256:
        return "the answer is to something else than what waits here (payload_sha256 differs)"
    if not reply.person.strip():
        return "nobody gave the answer (person is empty)"
    if (reply.verdict == "edit") != (reply.parameters is not None):
        return "parameters come with an edit, and with nothing else"
    return None


def _expiry(held: Held, traceparent: str, changes: Changes) -> Reminder:
    decision = held.decision
    reply = ApprovalReply(
        decision_id=decision.decision_id,
        subject=decision.subject,
        verdict="reject",
        payload_sha256=held.payload_sha256,
        person=EXPIRY,
        reason="expired",
        time=held.expires_at,
    )
    return Reminder(
        reminder_id=ids.reminder_id("expiry", decision.decision_id),
        subject=decision.subject,
        due_at=held.expires_at,
        topic=APPROVALS.name,
        key=decision.subject,
        value=changes.codec.encode(reply),
        traceparent=traceparent,
        reason="approval expires",
        case_id=decision.case.case_id,
    )


def _asked(held: Held, traceparent: str, now: datetime) -> AuditRecord:
    """What is shown comes from what is held: the card and the hash are of one thing."""
    detail = {
        "payload_sha256": held.payload_sha256,
        "expires_at": held.expires_at.isoformat(),
        "verdict": "asked",
        "parameters": orjson.loads(held.decision.parameters),
        "reasoning": held.decision.reasoning,
    }
    return audit.approval(held.decision, "needs_approval", held.reason, "asked", detail, traceparent, now)


def _answered(reply: ApprovalReply, decision: Decision, place: str, traceparent: str, now: datetime) -> AuditRecord:
    detail = {"verdict": reply.verdict, "person": reply.person, "parameters": reply.parameters}
    return audit.approval(decision, "running", reply.reason, place, detail, traceparent, now)
