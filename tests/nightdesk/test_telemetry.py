"""Spans reach a collector as OTLP over HTTP, and a collector that fails holds nothing up."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from nightdesk.settings_sections import OtlpSettings
from nightdesk.streams.identity import Identity
from nightdesk.telemetry import SpanExport
from tests.fakes.otlp_collector import Collector, collecting
from tests.streams.audit_samples import TRACE_ID, audit_record, decided


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def export_to(collector: Collector) -> SpanExport:
    settings = OtlpSettings(endpoint=f"{collector.endpoint}/", headers={"x-token": SecretStr("t")})
    return SpanExport(settings, Identity("decide", "decide-0"))


def test_the_collector_has_each_span_with_its_ids_and_numbers(collector: Collector) -> None:
    export = export_to(collector)
    export.audited([audit_record("received", "running"), decided().model_copy(update={"latency_ms": 900})])
    export.close()
    arrival, decision, chat = collector.of_trace(TRACE_ID)
    assert (arrival.name, arrival.parent_id) == ("process ingest", "00f067aa0ba902b7")
    assert (decision.parent_id, chat.parent_id) == (arrival.span_id, decision.span_id)
    assert (chat.duration_ms, chat.attributes["gen_ai.usage.input_tokens"]) == (900, 30)
    assert decision.attributes["nightdesk.subject"] == "ticket-7"
    assert {span.service for span in collector.received} == {"nightdesk-decide"}
    assert collector.headers[0]["x-token"] == "t"


def test_a_collector_that_refuses_loses_the_spans_and_nothing_else(
    collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.status = 400
    export = export_to(collector)
    export.audited([decided()])
    export.close()
    assert collector.received == []
    assert "400" in caplog.text
