"""The audit record of a follow-up that was cancelled. It names no case, so that it changes no case's status."""

from datetime import datetime

from nightdesk.schemas import ids
from nightdesk.schemas.audit import CancelledDetail
from nightdesk.schemas.records import AuditRecord


def cancelled(
    subject: str, detail: CancelledDetail, reason: str, traceparent: str | None, now: datetime
) -> AuditRecord:
    """The timer of a follow-up was cancelled before it was due."""
    return AuditRecord(
        record_id=ids.record_id("cancelled", detail.timer_id),
        kind="cancelled",
        time=now,
        subject=subject,
        status="ignored",
        reason=reason,
        detail=detail.model_dump_json(),
        traceparent=traceparent,
    )


def cancel_void(
    subject: str, timer_id: str, person: str, reason: str, traceparent: str | None, now: datetime
) -> AuditRecord:
    """A person tried to cancel a follow-up that does not wait any more, or never did."""
    detail = CancelledDetail(timer_id=timer_id, due_at=now, person=person)
    return AuditRecord(
        record_id=ids.record_id("cancel_void", timer_id, person, reason),
        kind="ignored",
        time=now,
        subject=subject,
        status="ignored",
        reason=reason,
        detail=detail.model_dump_json(),
        traceparent=traceparent,
    )
