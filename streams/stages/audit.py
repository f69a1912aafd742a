"""The audit lines of a case. Each stage calls the one that says what it did; the shapes are a contract with `sinks`."""

from datetime import datetime
from typing import Any

import orjson

from processors.playbook import Timer
from schemas import ids
from schemas.records import (
    ApprovalReply,
    AuditRecord,
    BudgetEntry,
    Case,
    CaseStatus,
    ControlCommand,
    Decision,
    Event,
    StepOutcome,
)


def received(case: Case, traceparent: str) -> AuditRecord:
    """A case begins."""
    detail = {"data": case.event.data, "time": case.event.time.isoformat()}
    return AuditRecord(
        record_id=ids.record_id("received", case.case_id),
        kind="received",
        time=case.received_at,
        status="running",
        detail=_json(detail),
        traceparent=traceparent,
        **_of_case(case),
    )


def no_case(event: Event, kind: str, reason: str, cause: str, traceparent: str, now: datetime) -> AuditRecord:
    """An event from which no case came: nobody takes it, it came before, or its data is wrong (`rejected`)."""
    return AuditRecord(
        record_id=ids.record_id(kind, event.source, event.id, cause),
        kind="rejected" if kind == "rejected" else "ignored",
        time=now,
        status="failed" if kind == "rejected" else "ignored",
        reason=reason,
        detail=_json({"data": event.data[:10_000], "time": event.time.isoformat()}),
        traceparent=traceparent,
        **_of_event(event),
    )


def refused(case: Case, reason: str, traceparent: str, now: datetime) -> AuditRecord:
    """A limit or the budget keeps the case from beginning."""
    return AuditRecord(
        record_id=ids.record_id("refused", case.case_id),
        kind="refused",
        time=now,
        status="refused",
        reason=reason,
        traceparent=traceparent,
        **_of_case(case),
    )


def deferred(
    entry: BudgetEntry, case: Case, reason: str, until: datetime, traceparent: str, now: datetime
) -> AuditRecord:
    """The case waits for room or for the budget's next day."""
    return AuditRecord(
        record_id=ids.record_id("deferred", entry.entry_id, until.isoformat()),
        kind="deferred",
        time=now,
        status="deferred",
        reason=reason,
        detail=_json({"until": until.isoformat()}),
        traceparent=traceparent,
        **_of_case(case),
    )


def decided(decision: Decision, status: CaseStatus, traceparent: str) -> AuditRecord:
    """What was decided, by whom, why, what every rule said, and what it cost."""
    detail = {
        "kind": decision.kind,
        "parameters": orjson.Fragment(decision.parameters),
        "reasoning": decision.reasoning,
        "verdicts": [verdict.__dict__ for verdict in decision.verdicts],
        "fallbacks": [fallback.__dict__ for fallback in decision.fallbacks],
        "prompt_sha256": decision.prompt_sha256,
        "reserved_microusd": decision.case.reserved_microusd,
        "disposition_reason": decision.disposition_reason,
    }
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
        detail=_json(detail),
        traceparent=traceparent,
        **_of_decision(decision),
    )


def acted(
    decision: Decision,
    outcomes: tuple[StepOutcome, ...],
    status: CaseStatus,
    reason: str,
    traceparent: str,
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
        detail=_json({"outcomes": [_outcome(outcome) for outcome in outcomes]}),
        traceparent=traceparent,
        **_of_decision(decision),
    )


def queued(decision: Decision, timer: Timer, cause: str, traceparent: str, now: datetime) -> AuditRecord:
    """The decision waits: for its turn, for a system that is away, for another try, or for an order to be lifted."""
    return AuditRecord(
        record_id=ids.record_id("queued", decision.decision_id, cause),
        kind="queued",
        time=now,
        disposition=decision.disposition,
        status="waiting",
        reason=timer.reason,
        detail=_json({"until": timer.due_at.isoformat()}),
        traceparent=traceparent,
        **_of_decision(decision),
    )


def approval(
    decision: Decision,
    status: CaseStatus,
    reason: str,
    cause: str,
    detail: dict[str, Any],
    traceparent: str,
    now: datetime,
) -> AuditRecord:
    """A person was asked, or answered."""
    return AuditRecord(
        record_id=ids.record_id("approval", decision.decision_id, cause),
        kind="approval",
        time=now,
        disposition=decision.disposition,
        status=status,
        reason=reason,
        detail=_json(detail),
        traceparent=traceparent,
        **_of_decision(decision),
    )


def void_approval(reply: ApprovalReply, reason: str, cause: str, traceparent: str, now: datetime) -> AuditRecord:
    """An answer that counts for nothing. It names no case, so that it changes no case's status."""
    return AuditRecord(
        record_id=ids.record_id("approval", reply.decision_id, cause),
        kind="approval",
        time=now,
        subject=reply.subject,
        decision_id=reply.decision_id,
        status="ignored",
        reason=reason,
        detail=_json({"verdict": reply.verdict, "person": reply.person, "counts": False}),
        traceparent=traceparent,
    )


def ordered(order: ControlCommand, traceparent: str | None) -> AuditRecord:
    """Somebody, or the anomaly breaker, let an agent stop or go on."""
    return AuditRecord(
        record_id=ids.record_id("control", order.key, order.kind, order.time.isoformat()),
        kind="control",
        time=order.time,
        subject=order.agent,
        agent=order.agent,
        status="ignored",
        reason=order.reason,
        detail=_json({"order": order.kind, "issued_by": order.issued_by}),
        traceparent=traceparent,
    )


def _outcome(outcome: StepOutcome) -> dict[str, Any]:
    return {**outcome.__dict__, "result": orjson.Fragment(outcome.result)}


def _of_event(event: Event) -> dict[str, Any]:
    return {
        "subject": event.subject,
        "event_id": event.id,
        "event_source": event.source,
        "event_type": event.type,
    }


def _of_case(case: Case) -> dict[str, Any]:
    return {
        **_of_event(case.event),
        "case_id": case.case_id,
        "agent": case.agent,
        "charter_version": case.charter_version,
        "step": case.step,
    }


def _of_decision(decision: Decision) -> dict[str, Any]:
    return {**_of_case(decision.case), "decision_id": decision.decision_id, "action": decision.action}


def _json(detail: dict[str, Any]) -> str:
    return orjson.dumps(detail).decode()
