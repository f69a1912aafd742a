"""The audit of a case is one tree of spans, under the span of the event's producer."""

from collections.abc import Sequence

import pytest

from nightdesk.schemas.audit import ActionDetail
from nightdesk.schemas.records import AuditRecord, StepOutcome
from nightdesk.schemas.trace_context import new
from nightdesk.streams.audit_spans import Span, spans
from tests.processors.examples import NOW
from tests.streams.audit_samples import MARK, TRACE_ID, answered, audit_record, dead_lettered, decided

PRODUCER = "00f067aa0ba902b7"
DONE = StepOutcome(
    step_id="step-0",
    position=0,
    handler="refund",
    status="done",
    result=MARK,
    error=MARK,
    started_at=NOW,
    latency_ms=40,
)
OUTCOMES = (DONE, DONE.model_copy(update={"step_id": "step-1", "position": 1, "status": "unknown"}))


def acted(outcomes: Sequence[StepOutcome] = OUTCOMES, **fields: object) -> AuditRecord:
    detail = ActionDetail(outcomes=tuple(outcomes)).model_dump_json()
    return audit_record("acted", "failed", detail, record_id="acted-7", **fields)


def answer() -> AuditRecord:
    return answered().model_copy(update={"record_id": "answer-7"})


def of(*records: AuditRecord) -> list[Span]:
    return [span for record in records for span in spans(record)]


def test_a_case_is_one_tree() -> None:
    found = of(audit_record("received", "running"), decided(), answer(), acted(), dead_lettered())
    names = {span.context.span_id: span.name for span in found}
    assert len(names) == len(found)
    assert {span.context.trace_id for span in found} == {TRACE_ID}
    assert [(span.name, names.get(span.parent_id, span.parent_id)) for span in found] == [
        ("process ingest", PRODUCER),
        ("invoke_agent desk", "process ingest"),
        ("chat small", "invoke_agent desk"),
        ("approval", "process ingest"),
        ("execute refund", "invoke_agent desk"),
        ("execute_tool refund", "execute refund"),
        ("execute_tool refund", "execute refund"),
        ("dead_letter", "process ingest"),
    ]
    assert [span.name for span in found if span.error] == ["execute refund", "execute_tool refund", "dead_letter"]


def test_a_record_that_is_handled_twice_gives_the_same_spans() -> None:
    assert of(decided(), acted()) == of(decided(), acted())


def test_a_trace_that_starts_here_has_a_first_span() -> None:
    [first] = of(audit_record("received", "running", traceparent=str(new("ingest/0/7"))))
    assert first.parent_id == ""


def test_a_span_lasts_as_long_as_what_it_is_about() -> None:
    asked = decided().model_copy(update={"latency_ms": 900})
    durations = {span.name: (span.ended_at - span.started_at).total_seconds() for span in of(asked, acted())}
    assert durations["invoke_agent desk"] == durations["chat small"] == 0.9
    assert durations["execute_tool refund"] == 0.04


def test_no_text_of_others_is_in_a_span() -> None:
    assert MARK not in repr(of(audit_record("received", "running"), decided(), answer(), acted(), dead_lettered()))


@pytest.mark.parametrize("traceparent", [None, "", "00-x-y-01"])
def test_a_record_without_a_trace_has_no_span(traceparent: str | None) -> None:
    assert of(audit_record("received", "running", traceparent=traceparent)) == []


def test_rules_that_decide_ask_no_model() -> None:
    assert [span.name for span in of(audit_record("decided", "running"))] == ["invoke_agent desk"]


@pytest.mark.parametrize("agent", ["desk", None])
def test_the_agent_that_decided_is_named(agent: str | None) -> None:
    decision = next(iter(of(decided().model_copy(update={"agent": agent}))))
    assert decision.attributes["gen_ai.agent.name"] == (agent or "")
