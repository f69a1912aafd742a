"""Audit records for the tests of what is counted and logged: each text of others in them has the mark."""

from typing import Any

from nightdesk.schemas.approval_details import ApprovalReplyDetail
from nightdesk.schemas.audit import DecisionDetail
from nightdesk.schemas.records import AuditRecord, DeadLetter, Fallback, Verdict
from tests.processors.examples import NOW

MARK = "text-of-others"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def audit_record(kind: str, status: str, detail: str = "null", **fields: Any) -> AuditRecord:
    """One that names everything that a record can name."""
    about = {
        "record_id": "r",
        "time": NOW,
        "subject": "ticket-7",
        "event_id": "event-7",
        "event_source": "shop",
        "event_type": "ticket.created",
        "case_id": "case-7",
        "agent": "desk",
        "decision_id": "decision-7",
        "action": "refund",
        "disposition": "execute",
        "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01",
        "reason": f"because {MARK}",
    }
    return AuditRecord.model_validate({**about, "kind": kind, "status": status, "detail": detail, **fields})


def decided(**detail: Any) -> AuditRecord:
    """A model's decision."""
    fallback = Fallback(provider="anthropic", reason="overloaded", detail=MARK)
    said = DecisionDetail(
        kind="respond",
        parameters=f'{{"text": "{MARK}"}}',
        reasoning=MARK,
        verdicts=(Verdict(rule="limit", passed=False, reason=MARK),),
        fallbacks=(fallback,),
        **detail,
    )
    model = {"provider": "openai", "model": "small", "input_tokens": 30, "output_tokens": 4, "cost_microusd": 2500}
    return audit_record("decided", "running", said.model_dump_json(), **model)


def answered(*, counts: bool = True) -> AuditRecord:
    """A person's answer to an approval."""
    said = ApprovalReplyDetail(verdict="approve", person=MARK, counts=counts, parameters=MARK, reason=MARK)
    return audit_record("approval", "running", said.model_dump_json())


def dead_lettered(stage: str = "act", error: str = "ValueError") -> AuditRecord:
    """A record that could not be handled."""
    letter = DeadLetter(
        dead_letter_id="letter-7",
        stage=stage,
        topic=stage,
        partition=0,
        offset=7,
        timestamp_ms=0,
        error=error,
        message=MARK,
        traceback=MARK,
        program_version="1",
        time=NOW,
    )
    return audit_record("dead_letter", "failed", letter.model_dump_json())
