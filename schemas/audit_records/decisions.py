"""The audit records of a decision and of its execution."""

from datetime import datetime
from typing import NamedTuple

from nightdesk.schemas import ids
from nightdesk.schemas.audit import ActionDetail, DecisionDetail
from nightdesk.schemas.audit_records.about import of_decision
from nightdesk.schemas.records import AuditRecord, CaseStatus, Decision, StepOutcome


class Measures(NamedTuple):
    """What the charter says that a decision is measured by; 0 where it says nothing."""

    baseline_s: int = 0
    baseline_microusd: int = 0
    day_budget_microusd: int = 0


NO_MEASURES = Measures()


def decided(decision: Decision, status: CaseStatus, traceparent: str, measures: Measures = NO_MEASURES) -> AuditRecord:
    """What was decided, by whom and why, what each rule said, what it cost, and what it is measured by."""
    detail = DecisionDetail(
        kind=decision.kind,
        parameters=decision.parameters,
        reasoning=decision.reasoning,
        verdicts=decision.verdicts,
        fallbacks=decision.fallbacks,
        prompt_sha256=decision.prompt_sha256,
        reserved_microusd=decision.case.reserved_microusd,
        disposition_reason=decision.disposition_reason,
        model_calls=decision.case.spent.model_calls,
        low_confidence=decision.low_confidence,
        undecided=decision.is_undecided,
        cause=decision.case.cause,
        unanswered_microusd=decision.unanswered_microusd,
        **measures._asdict(),
    )
    return AuditRecord(
        record_id=ids.record_id("decided", decision.decision_id),
        kind="decided",
        time=decision.decided_at,
        confidence=decision.confidence,
        disposition=decision.disposition,
        status=status,
        provider=decision.provider,
        model=decision.model,
        input_tokens=decision.input_tokens,
        output_tokens=decision.output_tokens,
        cost_microusd=decision.cost_microusd,
        latency_ms=decision.latency_ms,
        reason=decision.disposition_reason,
        detail=detail.model_dump_json(),
        traceparent=traceparent,
        **of_decision(decision),
    )


def acted(
    decision: Decision,
    outcomes: tuple[StepOutcome, ...],
    status: CaseStatus,
    reason: str,
    traceparent: str | None,
    now: datetime,
) -> AuditRecord:
    """What really happened, step by step."""
    return AuditRecord(
        record_id=ids.record_id("acted", decision.decision_id),
        kind="acted",
        time=now,
        disposition=decision.disposition,
        status=status,
        reason=reason,
        detail=ActionDetail(outcomes=outcomes).model_dump_json(),
        traceparent=traceparent,
        **of_decision(decision),
    )
