"""Writes a decision of the data set as an OpenTelemetry span, in OTLP's JSON. Pure.

The span has the ids of the one that the decide stage sends (`streams/audit_spans.py`), and also what was asked and
answered. A person's answer is the event `gen_ai.evaluation.result` of the span.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from nightdesk.schemas.trace_context import nanoseconds, new, parse, span_id
from nightdesk.sinks.data_set import ExportedDecision

SPAN_KIND_INTERNAL = 1
SCORES = {"approve": 1.0, "edit": 0.5, "reject": 0.0}


def otlp(decision: ExportedDecision) -> dict[str, Any]:
    """One line of an OTLP file: a request with one span."""
    service = {"service.namespace": "nightdesk", "service.name": "nightdesk-decide"}
    scope_spans = [{"scope": {"name": "nightdesk"}, "spans": [_span(decision)]}]
    return {"resourceSpans": [{"resource": {"attributes": _attributes(service)}, "scopeSpans": scope_spans}]}


def _span(decision: ExportedDecision) -> dict[str, Any]:
    context = parse(decision.traceparent) or new(decision.case_id)
    began_at = decision.decided_at - timedelta(milliseconds=decision.latency_ms)
    return {
        "traceId": context.trace_id,
        "spanId": span_id(decision.decision_id),
        "parentSpanId": span_id(decision.case_id),
        "name": f"invoke_agent {decision.agent}",
        "kind": SPAN_KIND_INTERNAL,
        "startTimeUnixNano": str(nanoseconds(began_at)),
        "endTimeUnixNano": str(nanoseconds(decision.decided_at)),
        "attributes": _attributes(_about(decision)),
        "events": _evaluations(decision),
        "status": {},
    }


def _about(decision: ExportedDecision) -> dict[str, Any]:
    asked = [{"role": "user", "parts": [{"type": "text", "content": decision.event_data}]}]
    answer = {"action": decision.action, "parameters": decision.parameters, "reasoning": decision.reasoning}
    text = {"type": "text", "content": json.dumps(answer)}
    answered = [{"role": "assistant", "parts": [text], "finish_reason": "stop"}]
    return {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": decision.agent,
        "gen_ai.agent.version": decision.charter_version,
        "gen_ai.provider.name": decision.provider,
        "gen_ai.request.model": decision.model,
        "gen_ai.usage.input_tokens": decision.input_tokens,
        "gen_ai.usage.output_tokens": decision.output_tokens,
        "gen_ai.input.messages": json.dumps(asked),
        "gen_ai.output.messages": json.dumps(answered),
        "cloudevents.event_source": decision.event_source,
        "cloudevents.event_id": decision.event_id,
        "cloudevents.event_type": decision.event_type,
        "nightdesk.subject": decision.subject,
        "nightdesk.case_id": decision.case_id,
        "nightdesk.decision_id": decision.decision_id,
        "nightdesk.action": decision.action,
        "nightdesk.disposition": decision.disposition,
        "nightdesk.confidence": decision.confidence,
        "nightdesk.cost_microusd": decision.cost_microusd,
        "nightdesk.steps": json.dumps([step.model_dump() for step in decision.steps]),
    }


def _evaluations(decision: ExportedDecision) -> list[dict[str, Any]]:
    if not decision.verdict or decision.answered_at is None:
        return []
    verdict = {
        "gen_ai.evaluation.name": "human_verdict",
        "gen_ai.evaluation.score.label": decision.verdict,
        "gen_ai.evaluation.score.value": SCORES[decision.verdict],
        "gen_ai.evaluation.explanation": decision.person_reason,
        "nightdesk.person": decision.person,
        "nightdesk.person_parameters": decision.person_parameters,
    }
    at = str(nanoseconds(decision.answered_at))
    return [{"name": "gen_ai.evaluation.result", "timeUnixNano": at, "attributes": _attributes(verdict)}]


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """OTLP's form of attributes, without those that are empty."""
    return [{"key": name, "value": _value(value)} for name, value in values.items() if value not in (None, "")]


def _value(value: str | float) -> dict[str, Any]:
    # As protobuf's JSON has them: 64-bit integers are text.
    match value:
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": value}
