"""The audit records of messages to people: a route was told of events, or could not be."""

from datetime import datetime

from nightdesk.schemas import ids
from nightdesk.schemas.audit import NotificationDetail
from nightdesk.schemas.records import AuditRecord


def notified(batch_id: str, detail: NotificationDetail, reason: str, traceparent: str, now: datetime) -> AuditRecord:
    """A message was sent, or another route gets it. It is about no case, so it changes no case's status."""
    causes = (str(detail.sent),) if detail.cause == "events" else (str(detail.sent), detail.cause)
    return AuditRecord(
        record_id=ids.record_id("notified", batch_id, *causes),
        kind="notified",
        time=now,
        subject=detail.route,
        status="ignored",
        reason=reason,
        detail=detail.model_dump_json(),
        traceparent=traceparent,
    )
