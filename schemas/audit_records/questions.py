"""The audit record of a question to a model."""

from datetime import datetime

from nightdesk.schemas import ids
from nightdesk.schemas.audit_records.about import of_case
from nightdesk.schemas.question_detail import QuestionDetail
from nightdesk.schemas.records import AuditRecord, Case


def asked(
    case: Case, detail: QuestionDetail, answered_by: tuple[str, str] | None, traceparent: str, now: datetime
) -> AuditRecord:
    """What was asked and answered. A reply is bought once, so it has one record; a question without one may be asked
    again each time that its step comes back. Tokens and cost are in the detail, because those of the decision count.
    """
    which = "reply" if detail.answered else f"none {case.returns}"
    provider, model = answered_by or (None, None)
    return AuditRecord(
        record_id=ids.record_id("asked", case.case_id, str(case.step), str(detail.attempt), which),
        kind="asked",
        time=now,
        status="running",
        provider=provider,
        model=model,
        detail=detail.model_dump_json(),
        traceparent=traceparent,
        **of_case(case),
    )
