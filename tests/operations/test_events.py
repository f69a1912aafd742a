"""From a line to an event: what it leaves out is filled in, and its data becomes JSON text."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from confluent_kafka import KafkaError, Message

from nightdesk.messaging import blocking_producer
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.operations.events import SendReport, _on_delivery, _producer, read_event, send_events
from nightdesk.schemas.topics import INGEST
from nightdesk.settings import Settings

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('"plain words"', '"plain words"'),
        (r'"{\"a\": 1}"', '{"a": 1}'),
        ('{"a":1}', '{"a": 1}'),
        ("null", "null"),
        ("[1, 2.5, true]", "[1, 2.5, true]"),
    ],
)
def test_data_becomes_json_text(data: str, text: str) -> None:
    assert read_event(f'{{"subject": "t", "data": {data}}}'.encode(), {"source": "s", "type": "x"}, NOW).data == text


def test_what_a_line_leaves_out_is_filled_in() -> None:
    first, second = (read_event(b'\xef\xbb\xbf{"subject": "t"}', {"source": "s", "type": "x"}, NOW) for _ in range(2))
    assert (first.source, first.type, first.time, first.data) == ("s", "x", NOW, "null")
    assert first.id != second.id


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "0000-01-01T00:00:00Z"])
def test_a_moment_that_utc_does_not_have_is_that_lines_mistake(moment: str) -> None:
    line = {"id": "e", "source": "s", "type": "t", "subject": "x", "time": moment}
    with pytest.raises(ValueError, match="time"):
        read_event(json.dumps(line).encode(), {}, datetime.now(UTC))


def test_each_line_is_delivered_or_has_its_reason(small_settings: Settings) -> None:
    lines = [
        b'{"subject": "t-1"}',
        b" ",
        b"[]",
        b'{"subject": "t-2"}',
        b'{"subject": ""}',
        b"\xff",
        b'{"subject": "t-3"}',
    ]
    report = send_events(small_settings, lines, {"source": "s", "type": "x"}, TRACE)
    assert (report.topic, report.delivered) == (small_settings.kafka.topic_prefix + INGEST.name, 3)
    assert report.failed.keys() == {3, 5, 6}
    assert report.failed[3] == "not a JSON object"
    sent = list(read_topic(small_settings.kafka, report.topic))
    assert {message.key() for message in sent} == {b"t-1", b"t-2", b"t-3"}
    assert [message.headers() for message in sent] == [[("traceparent", TRACE.encode())]] * 3


def test_a_line_that_the_broker_did_not_take_has_its_reason() -> None:
    report = SendReport("ingest")
    _on_delivery(report, 7)(KafkaError(KafkaError._MSG_TIMED_OUT), Message())
    assert (report.delivered, list(report.failed)) == (0, [7])
    assert "timed out" in report.failed[7]


def test_without_a_broker_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking_producer, "ANSWER_WITHIN_S", 0.2)
    with pytest.raises(Failure, match=r"127\.0\.0\.1:1 does not answer") as failed:
        _producer(KafkaSettings(bootstrap_servers="127.0.0.1:1"), "ingest")
    assert failed.value.kind is FailureKind.UNREACHABLE
