"""The audit records of an approval: a person was asked, reminded, answered, or gave an answer that does not count."""

from datetime import datetime

from nightdesk.schemas import ids
from nightdesk.schemas.approval_details import ApprovalReminderDetail, ApprovalReplyDetail, ApprovalRequestDetail
from nightdesk.schemas.audit import Identity
from nightdesk.schemas.audit_records.about import of_decision
from nightdesk.schemas.records import ApprovalReply, AuditRecord, CaseStatus, Decision, Event


def approval_asked(
    decision: Decision, detail: ApprovalRequestDetail, reason: str, traceparent: str, now: datetime
) -> AuditRecord:
    """A person is asked, or asked again because what is shown has changed."""
    cause = f"asked:{detail.changes}" if detail.changes else "asked"
    return _approval(decision, "needs_approval", reason, cause, detail, traceparent, now)


def approval_reminded(
    decision: Decision, number: int, expires_at: datetime, traceparent: str | None, now: datetime
) -> AuditRecord:
    """The approvers are reminded of a decision that still waits."""
    detail = ApprovalReminderDetail(number=number, expires_at=expires_at)
    reason = f"reminder {number}: nobody has answered, and it expires at {expires_at:%Y-%m-%d %H:%M} UTC"
    return _approval(decision, "needs_approval", reason, f"reminded:{number}", detail, traceparent, now)


def approval_answered(
    decision: Decision,
    reply: ApprovalReply,
    identity: Identity,
    reason: str,
    cause: str,
    traceparent: str | None,
    now: datetime,
) -> AuditRecord:
    """A person answered, and the answer counts."""
    detail = ApprovalReplyDetail(
        verdict=reply.verdict,
        person=reply.person,
        counts=True,
        identity=identity,
        parameters=reply.parameters,
        reason=reply.reason,
        login=reply.login,
    )
    return _approval(decision, "running", reason, cause, detail, traceparent, now)


def approval_agreed(
    decision: Decision, detail: ApprovalReplyDetail, reason: str, cause: str, traceparent: str | None, now: datetime
) -> AuditRecord:
    """A person approved, and further persons have to: the decision waits on."""
    return _approval(decision, "needs_approval", reason, cause, detail, traceparent, now)


def approval_reconsidered(
    decision: Decision, event: Event, person: str, traceparent: str, now: datetime
) -> AuditRecord:
    """A newer event took the decision back before anybody answered; the case is decided again."""
    reason = f"taken back, because {event.type} {event.id} came: the case is decided again"
    detail = ApprovalReplyDetail(verdict="reconsider", person=person, counts=True, identity="claimed", reason=reason)
    return _approval(decision, "running", reason, "reconsidered", detail, traceparent, now)


def approval_void(reply: ApprovalReply, reason: str, cause: str, traceparent: str, now: datetime) -> AuditRecord:
    """An answer that does not count. The record names no case, so that it changes no case's status."""
    detail = ApprovalReplyDetail(
        verdict=reply.verdict,
        person=reply.person,
        counts=False,
        parameters=reply.parameters,
        reason=reply.reason,
        login=reply.login,
    )
    return AuditRecord(
        record_id=ids.record_id("approval", reply.decision_id, cause),
        kind="approval",
        time=now,
        subject=reply.subject,
        decision_id=reply.decision_id,
        status="ignored",
        reason=reason,
        detail=detail.model_dump_json(),
        traceparent=traceparent,
    )


def _approval(
    decision: Decision,
    status: CaseStatus,
    reason: str,
    cause: str,
    detail: ApprovalRequestDetail | ApprovalReminderDetail | ApprovalReplyDetail,
    traceparent: str | None,
    now: datetime,
) -> AuditRecord:
    return AuditRecord(
        record_id=ids.record_id("approval", decision.decision_id, cause),
        kind="approval",
        time=now,
        disposition=decision.disposition,
        status=status,
        reason=reason,
        detail=detail.model_dump_json(),
        traceparent=traceparent,
        **of_decision(decision),
    )
