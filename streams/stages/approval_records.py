"""Builds the records of approvals: the request, and the answer."""

from datetime import datetime

from nightdesk.schemas import audit_records
from nightdesk.schemas.audit import ApprovalRequestDetail, Identity
from nightdesk.schemas.persons import shown_person
from nightdesk.schemas.records import ApprovalReply, AuditRecord, Decision
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.approval_checks import EXPIRY
from nightdesk.streams.stages.held_decisions import Held, SubjectDecisions


def void(reply: ApprovalReply, reason: str, place: str, traceparent: str, writes: StagedWrites, now: datetime) -> None:
    """Record an answer that does not count."""
    writes.audit(audit_records.approval_void(reply, reason, place, traceparent, now))


def expiry_reply(held: Held) -> ApprovalReply:
    """The record that a decision may be due."""
    decision = held.decision
    return ApprovalReply(
        decision_id=decision.decision_id,
        subject=decision.subject,
        verdict="expire",
        payload_sha256=held.payload_sha256,
        person=EXPIRY,
        reason="expired",
        time=held.due_at,
    )


def asked(held: Held, others: SubjectDecisions, traceparent: str, now: datetime) -> AuditRecord:
    """The request for approval, built from the held decision, so that its hash covers what the person sees."""
    decision = held.decision
    detail = ApprovalRequestDetail(
        payload_sha256=held.payload_sha256,
        expires_at=held.expires_at,
        parameters=decision.parameters,
        reasoning=decision.reasoning,
        others=others.shown_beside(decision),
        changes=held.changes,
    )
    return audit_records.approval_asked(decision, detail, held.reason, traceparent, now)


def answered(
    reply: ApprovalReply, identity: Identity, decision: Decision, place: str, traceparent: str | None, now: datetime
) -> AuditRecord:
    """Record an answer that counts."""
    reason = f"{reply.verdict} by {shown(reply, identity)}" + (f": {reply.reason}" if reply.reason else "")
    return audit_records.approval_answered(decision, reply, identity, reason, place, traceparent, now)


def shown(reply: ApprovalReply, identity: Identity) -> str:
    """Who answered, for people. An expiry is nobody's answer, whatever name its record has."""
    return EXPIRY if reply.verdict == "expire" else shown_person(reply.person, identity)
