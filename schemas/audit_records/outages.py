"""The audit records of an outage: a system that a stage calls does not answer, or answers again."""

from datetime import datetime

from nightdesk.schemas import ids
from nightdesk.schemas.outage_detail import OutageDetail
from nightdesk.schemas.records import AuditRecord


def outage(detail: OutageDetail, now: datetime) -> AuditRecord:
    """An outage lasts, or is over. Each worker that sees it writes records of its own. They are about no case."""
    end = "over" if detail.is_over else "lasts"
    return AuditRecord(
        record_id=ids.record_id("outage", detail.stage, detail.system, detail.since.isoformat(), end),
        kind="outage",
        time=now,
        subject=detail.system,
        status="ignored",
        reason=_over(detail, now) if detail.is_over else _lasts(detail),
        detail=detail.model_dump_json(),
    )


def _lasts(detail: OutageDetail) -> str:
    why = f" ({detail.cause})" if detail.cause else ""
    return f"{detail.system} does not answer {detail.stage} since {detail.since:%Y-%m-%d %H:%M:%S} UTC{why}"


def _over(detail: OutageDetail, now: datetime) -> str:
    minutes = (now - detail.since).total_seconds() / 60
    return f"{detail.system} answers {detail.stage} again, after {minutes:.0f} minutes"
