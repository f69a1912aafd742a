"""The audit record of `nightdesk forget`: who had records deleted, and not of whom."""

from nightdesk.schemas import ids
from nightdesk.schemas.audit import ForgottenDetail
from nightdesk.schemas.records import AuditRecord, ForgottenSubject


def forgotten(tombstone: ForgottenSubject, rows: int) -> AuditRecord:
    """The rows of a subject were deleted from ClickHouse."""
    detail = ForgottenDetail(digest=tombstone.digest, issued_by=tombstone.issued_by, rows=rows)
    return AuditRecord(
        record_id=ids.record_id("forgotten", tombstone.digest, tombstone.time.isoformat()),
        kind="forgotten",
        time=tombstone.time,
        subject=f"forgotten:{tombstone.digest[:16]}",
        status="ignored",
        reason=tombstone.reason,
        detail=detail.model_dump_json(),
    )
