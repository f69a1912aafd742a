"""Decisions as a data set: each once, with its event, the person's answer that counts, and what came of it."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from google.protobuf.json_format import Parse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from nightdesk.schemas.approval_details import ApprovalReplyDetail
from nightdesk.schemas.audit import EventDetail
from nightdesk.schemas.records import AuditRecord
from nightdesk.schemas.trace_context import span_id
from nightdesk.sinks.data_set import ExportedDecision, Wanted, decisions_of, hours
from nightdesk.sinks.data_set_spans import otlp
from tests.sinks.records import AGENT, START, acted, at, decided, land, of_case, outcome, record

TRACE = "0af7651916cd43dd8448eb211c80319c"
SINCE = START - timedelta(hours=1)


def _received(event_id: str, agent: str = AGENT) -> AuditRecord:
    detail = EventDetail(data='{"amount": 12345678901234567890}', time=at(0))
    return record("received", 0, detail, **of_case(event_id, agent), traceparent=f"00-{TRACE}-b7ad6b7169203331-01")


def _answer(seconds: float, verdict: Any, decision: AuditRecord, **more: Any) -> AuditRecord:
    detail = ApprovalReplyDetail.model_validate({"verdict": verdict, "person": "ann", "counts": True, **more})
    fields = {name: getattr(decision, name) for name in ("event_id", "case_id", "agent", "decision_id")}
    return record("approval", seconds, detail, **fields)


def exported(client: Client, **wanted: Any) -> list[ExportedDecision]:
    asked = Wanted(**{"since": SINCE, "until": START + timedelta(days=1), **wanted})
    return [decision for hour in hours(client, asked) for decision in decisions_of(client, hour, asked)]


def test_a_decision_comes_with_its_event_its_answer_and_what_came_of_it(client: Client) -> None:
    decision = decided(1, event_id="evt-1")
    given_too_late = _answer(9, "approve", decision, counts=False)
    answer = _answer(5, "edit", decision, parameters='{"amount": 5}', reason="too much")
    records = [_received("evt-1"), decision, answer, given_too_late, acted(7, "completed", outcomes=[outcome(0)])]
    land(client, *records, *records)
    [found] = exported(client)
    assert (found.decision_id, found.event_data) == (decision.decision_id, '{"amount": 12345678901234567890}')
    assert (found.verdict, found.person, found.person_reason) == ("edit", "ann", "too much")
    assert (found.person_parameters, found.answered_at) == ('{"amount": 5}', at(5))
    assert [(step.position, step.handler, step.status) for step in found.steps] == [(0, "reply.send", "done")]


def test_what_nobody_answered_and_what_rules_decided_is_there_without_a_verdict(client: Client) -> None:
    first, second = decided(1, event_id="evt-1"), decided(2, event_id="evt-2", model=None, provider="rules")
    land(client, _received("evt-1"), first, _answer(3, "expire", first), _received("evt-2"), second)
    assert [(one.verdict, one.answered_at, one.steps) for one in exported(client)] == [("", None, [])] * 2
    assert exported(client, reviewed=True) == []


def test_they_are_chosen_by_agent_and_by_the_hour_of_their_case(client: Client) -> None:
    land(client, _received("evt-1"), decided(1, event_id="evt-1"))
    land(client, _received("evt-2"), decided(2, event_id="evt-2"), first=2)
    assert [one.event_id for one in exported(client, agent=AGENT)] == ["evt-1", "evt-2"]
    assert exported(client, agent="other") == []
    assert exported(client, until=START) == []
    assert exported(client, since=START + timedelta(hours=1)) == []


@pytest.mark.parametrize(("verdict", "score"), [("approve", 1.0), ("edit", 0.5), ("reject", 0.0)])
def test_a_span_is_what_a_collector_reads_and_has_the_ids_of_the_live_one(
    client: Client, verdict: str, score: float
) -> None:
    decision = decided(1, event_id="evt-1")
    land(client, _received("evt-1"), decision, _answer(5, verdict, decision, reason="because"))
    [found] = exported(client)
    line = otlp(found)
    [span] = line["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["spanId"]) == (TRACE, span_id(str(decision.decision_id)))
    request = Parse(json.dumps(_with_binary_ids(line)), ExportTraceServiceRequest())
    [read] = request.resource_spans[0].scope_spans[0].spans
    assert read.end_time_unix_nano - read.start_time_unix_nano == found.latency_ms * 1_000_000
    [evaluation] = read.events
    values = {one.key: one.value for one in evaluation.attributes}
    assert values["gen_ai.evaluation.score.label"].string_value == verdict
    assert values["gen_ai.evaluation.score.value"].double_value == score
    assert evaluation.time_unix_nano == int(at(5).timestamp()) * 10**9


def _with_binary_ids(line: dict[str, Any]) -> dict[str, Any]:
    """OTLP writes ids as hexadecimal digits where protobuf's own JSON has base64."""
    [span] = line["resourceSpans"][0]["scopeSpans"][0]["spans"]
    for name in ("traceId", "spanId", "parentSpanId"):
        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return line
