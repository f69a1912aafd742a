"""Builds the records of approvals: the request, and the answer."""

from collections.abc import Sequence
from datetime import datetime

from nightdesk.schemas import audit_records
from nightdesk.schemas.approval_details import ApprovalReplyDetail, ApprovalRequestDetail, Approver
from nightdesk.schemas.audit import Identity
from nightdesk.schemas.persons import shown_person
from nightdesk.schemas.records import ApprovalReply, AuditRecord, Decision
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.approval_checks import EXPIRY
from nightdesk.streams.stages.held_decisions import Agreement, Held
from nightdesk.streams.stages.subject_decisions import SubjectDecisions


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
    decision = held.shown
    detail = ApprovalRequestDetail(
        payload_sha256=held.payload_sha256,
        expires_at=held.expires_at,
        parameters=held.shown.parameters,
        reasoning=decision.reasoning,
        others=others.shown_beside(decision),
        changes=held.changes,
        approvers=held.rule.approvers,
        approved_by=tuple(Approver(person=one.person, identity=one.identity) for one in held.agreed),
        excluded=held.rule.excluded,
        nobody_because=held.rule.nobody_because,
    )
    return audit_records.approval_asked(decision, detail, held.reason, traceparent, now)


def agreed(
    reply: ApprovalReply, agreement: Agreement, decision: Decision, traceparent: str, now: datetime
) -> AuditRecord:
    """Record an approval after which further persons have to approve."""
    detail = ApprovalReplyDetail(
        verdict="agree",
        person=agreement.person,
        counts=True,
        identity=agreement.identity,
        parameters=reply.parameters,
        reason=reply.reason,
        login=reply.login,
    )
    reason = f"{reply.verdict} by {shown_person(agreement.person, agreement.identity, reply.login)}" + _said(reply)
    reason = (
        f"{reason}; {agreement.missing} more {'person has' if agreement.missing == 1 else 'persons have'} to approve"
    )
    return audit_records.approval_agreed(decision, detail, reason, agreement.place, traceparent, now)


def answered(
    reply: ApprovalReply,
    identity: Identity,
    decision: Decision,
    place: str,
    traceparent: str | None,
    now: datetime,
    before: Sequence[Agreement] = (),
) -> AuditRecord:
    """Record an answer that counts, and who approved before it."""
    after = ", ".join(shown_person(one.person, one.identity) for one in before)
    reason = f"{reply.verdict} by {shown(reply, identity)}" + (f" after {after}" if after else "") + _said(reply)
    return audit_records.approval_answered(decision, reply, identity, reason, place, traceparent, now)


def _said(reply: ApprovalReply) -> str:
    return f": {reply.reason}" if reply.reason else ""


def shown(reply: ApprovalReply, identity: Identity) -> str:
    """Who answered, for people. An expiry is nobody's answer, whatever name its record has."""
    return EXPIRY if reply.verdict == "expire" else shown_person(reply.person, identity, reply.login)
