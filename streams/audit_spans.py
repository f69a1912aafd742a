"""Computes spans from the audit: what was done about an event, as OpenTelemetry shows it. Pure.

Names and attributes follow OpenTelemetry's conventions for messaging, CloudEvents and generative AI where they have
one. A span has ids and numbers and no text of others, as a log line has (`audit_log`).
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from nightdesk.schemas.audit import ActionDetail
from nightdesk.schemas.audit_kinds import detail_of
from nightdesk.schemas.records import AuditRecord, StepOutcome
from nightdesk.schemas.topics import INGEST
from nightdesk.schemas.trace_context import TraceContext, parse, span_id

Attributes = Mapping[str, str | int | float]

# What becomes of an event at ingest.
ARRIVALS = frozenset({"received", "ignored", "rejected", "refused"})
OTHERS = frozenset({"approval", "deferred", "queued", "parked", "dead_letter", "lost"})
FAILED_STEPS = frozenset({"failed", "unknown", "undo_failed"})


class Span(NamedTuple):
    """One span. `parent_id` is empty for the first of a trace that starts here."""

    context: TraceContext
    parent_id: str
    name: str
    kind: Literal["consumer", "internal", "client"]
    started_at: datetime
    ended_at: datetime
    attributes: Attributes
    error: str = ""


def spans(record: AuditRecord) -> Iterator[Span]:
    """The spans that a record tells of. None without a trace: a record that no event caused, such as an order."""
    context = parse(record.traceparent)
    if context is None:
        return
    if record.kind == "decided":
        yield from _of_decision(record, context)
    elif record.kind == "acted":
        yield from _of_actions(record, context)
    elif record.kind in ARRIVALS:
        yield _arrival(record, context)
    elif record.kind in OTHERS:
        yield _moment(record, context)


def _arrival(record: AuditRecord, context: TraceContext) -> Span:
    """An event reached ingest. Its parent is the producer's span."""
    attributes = {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": INGEST.name,
        **_common(record),
    }
    parent = "" if context.starts_here else context.span_id
    cause = record.case_id or record.record_id
    error = record.kind if record.kind == "rejected" else ""
    return Span(
        context._replace(span_id=span_id(cause)),
        parent,
        f"process {INGEST.name}",
        "consumer",
        record.time,
        record.time,
        attributes,
        error,
    )


def _of_decision(record: AuditRecord, context: TraceContext) -> Iterator[Span]:
    """A step of the case was decided, by a model or by rules."""
    began_at = record.time - timedelta(milliseconds=record.latency_ms)
    decision = record.decision_id or record.record_id
    own = context._replace(span_id=span_id(decision))
    attributes: Attributes = _common(record) | {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": record.agent or "",
    }
    yield Span(
        own,
        span_id(record.case_id or ""),
        f"invoke_agent {record.agent}",
        "internal",
        began_at,
        record.time,
        attributes,
        "failed" if record.status == "failed" else "",
    )
    if record.model is not None:
        asked_for: Attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": record.provider or "",
            "gen_ai.request.model": record.model,
            "gen_ai.usage.input_tokens": record.input_tokens,
            "gen_ai.usage.output_tokens": record.output_tokens,
            "nightdesk.cost_microusd": record.cost_microusd,
        }
        asked = context._replace(span_id=span_id(f"chat {decision}"))
        yield Span(asked, own.span_id, f"chat {record.model}", "client", began_at, record.time, asked_for)


def _of_actions(record: AuditRecord, context: TraceContext) -> Iterator[Span]:
    """The playbook of a decision ended. Each call has a span, which the other system was told as its parent."""
    detail = detail_of(record)
    outcomes = detail.outcomes if isinstance(detail, ActionDetail) else ()
    own = context._replace(span_id=span_id(record.record_id))
    yield Span(
        own,
        span_id(record.decision_id or ""),
        f"execute {record.action}",
        "internal",
        min([outcome.started_at for outcome in outcomes], default=record.time),
        record.time,
        _common(record),
        "failed" if record.status == "failed" else "",
    )
    for outcome in outcomes:
        yield _call(outcome, own)


def _call(outcome: StepOutcome, of: TraceContext) -> Span:
    attributes: Attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": outcome.handler,
        "gen_ai.tool.call.id": outcome.step_id,
        "nightdesk.step.status": outcome.status,
        "nightdesk.step.attempts": outcome.attempts,
    }
    return Span(
        of._replace(span_id=span_id(outcome.step_id)),
        of.span_id,
        f"execute_tool {outcome.handler}",
        "client",
        outcome.started_at,
        outcome.started_at + timedelta(milliseconds=outcome.latency_ms),
        attributes,
        outcome.status if outcome.status in FAILED_STEPS else "",
    )


def _moment(record: AuditRecord, context: TraceContext) -> Span:
    """Something that happened to a case at one time, such as an answer to an approval."""
    own = context._replace(span_id=span_id(record.record_id))
    parent = span_id(record.case_id) if record.case_id else context.span_id
    error = record.kind if record.kind in ("dead_letter", "lost") else ""
    return Span(own, parent, record.kind, "internal", record.time, record.time, _common(record), error)


def _common(record: AuditRecord) -> dict[str, str | int | float]:
    found: dict[str, str | int | float | None] = {
        "cloudevents.event_id": record.event_id,
        "cloudevents.event_source": record.event_source,
        "cloudevents.event_type": record.event_type,
        "nightdesk.subject": record.subject,
        "nightdesk.case_id": record.case_id,
        "nightdesk.decision_id": record.decision_id,
        "nightdesk.agent": record.agent,
        "nightdesk.charter_version": record.charter_version,
        "nightdesk.action": record.action,
        "nightdesk.disposition": record.disposition,
        "nightdesk.status": record.status,
        "nightdesk.step": record.step,
    }
    return {name: value for name, value in found.items() if value not in (None, "")}
