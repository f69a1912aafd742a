"""`nightdesk produce`: any consumer can read what it sends, and an invalid line affects no other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import Event
from nightdesk.settings import Settings
from tests.nightdesk.command_line import CommandLine

NOW = datetime(2026, 11, 22, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
WHOLE = {"id": "e1", "source": "shop", "type": "ticket.created", "subject": "t1", "time": "2026-11-20T08:00:00Z"}


@pytest.fixture
def codec(topics: Settings) -> Iterator[Codec]:
    with registered_codec(topics) as found:
        yield found


def consumed(settings: Settings, expected: int) -> list[Message]:
    consumer = Consumer({**settings.kafka.client_config(), "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([f"{settings.kafka.topic_prefix}ingest"])
    found: list[Message] = []
    while len(found) < expected:
        found += consumer.consume(expected - len(found), 30)
    consumer.close()
    return found


def lines(*objects: dict[str, Any]) -> bytes:
    return b"\n".join(json.dumps(one).encode() for one in objects)


def test_events_arrive_keyed_by_subject(nightdesk: CommandLine, topics: Settings, codec: Codec) -> None:
    data = {"text": "Wo ist es? 包裹 🎁", "amount": 12345678901234567890}
    result = nightdesk(
        "produce",
        "-",
        "--traceparent",
        TRACE,
        stdin=lines(WHOLE | {"data": data}, {"type": "x", "subject": "t2"}),
    )
    assert (result.code, result.out) == (0, f"2 of 2 events delivered to {topics.kafka.topic_prefix}ingest\n")
    messages = {message.key(): message for message in consumed(topics, 2)}
    first, second = (codec.decode(Event, messages[key].value()) for key in (b"t1", b"t2"))
    assert first.model_dump(exclude={"data"}) == {
        **WHOLE, "time": datetime(2026, 11, 20, 8, tzinfo=UTC), "datacontenttype": "application/json"
    }  # fmt: skip
    assert json.loads(first.data) == data
    assert (second.source, second.data) == ("nightdesk/produce", "null")
    assert second.id
    assert messages[b"t1"].headers() == [("traceparent", TRACE.encode())]


def test_a_bad_line_is_named_and_the_rest_goes(
    nightdesk: CommandLine, topics: Settings, codec: Codec, tmp_path: Path
) -> None:
    good = json.dumps(WHOLE).encode()
    bad = {
        2: b"{",
        4: b'{"id": "e2"}',
        5: b"[]",
        6: b"\xff\xfe",
        7: json.dumps(WHOLE | {"subject": ""}).encode(),
        8: json.dumps(WHOLE | {"colour": "red"}).encode(),
        9: json.dumps(WHOLE | {"time": "yesterday"}).encode(),
        10: json.dumps(WHOLE | {"time": "2026-11-20T08:00:00"}).encode(),
        11: json.dumps(WHOLE | {"data": {"text": "\ud800"}}).encode(),
        12: json.dumps(WHOLE).encode()[:-1] + b', "data": NaN}',
        13: json.dumps(WHOLE | {"data": "x" * 2_000_000}).encode(),
        14: b'{"data":' + b"[" * 100_000,
        16: json.dumps(WHOLE | {"data": 10**29}).encode(),
        17: json.dumps(WHOLE | {"data": f'{{"amount": {10**29}}}'}).encode(),
        18: json.dumps(WHOLE | {"time": 1_795_176}).encode(),
        19: json.dumps(WHOLE | {"id": "a\x00b"}).encode(),
        20: json.dumps(WHOLE).encode()[:-1] + b', "data": {"a": 1, "a": 2}}',
        21: b'{"data":' + b"9" * 5000,
        22: json.dumps(WHOLE | {"data": "ü" * 500_000}, ensure_ascii=False).encode(),
        23: json.dumps(WHOLE | {"specversion": "1.0"}).encode(),
        24: json.dumps(WHOLE | {"time": "9999-12-31T23:59:59-23:00"}).encode(),
    }
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(bad.get(number, b"" if number == 3 else good) for number in range(1, 25)))
    result = nightdesk("produce", str(file), "--output", "json")
    report = result.json()
    assert result.code == 1
    assert report["delivered"] == 2
    assert [failure["line"] for failure in report["failed"]] == sorted(bad)
    assert [line.split(":")[0] for line in result.err.splitlines()] == [f"line {number}" for number in sorted(bad)]
    assert "time: has no time zone: write 2026-11-20T08:00:00Z" in result.err
    assert "line 22: data has 1000002 bytes: an event may have at most 1000000" in result.err
    assert "line 23: specversion: is not a field of an event: use id, source," in result.err
    assert "line 24: time: is outside of the years 1 to 9999 in UTC" in result.err
    assert [codec.decode(Event, message.value()).id for message in consumed(topics, 2)] == ["e1", "e1"]


@pytest.mark.parametrize("trace", ["", "foo", "00-aa-bb-01", "\udcff", TRACE.upper(), TRACE + "\n", "ü" * 55])
def test_a_trace_that_is_none_is_refused_before_anything_is_sent(nightdesk: CommandLine, trace: str) -> None:
    result = nightdesk("produce", "-", "--traceparent", trace, stdin=lines(WHOLE))
    assert result.code == EXIT_CODES[FailureKind.INVALID]
    assert f"is no trace context. Write it as {TRACE}" in result.err
    assert len(result.err.splitlines()) == 1


def test_a_file_that_is_not_there(nightdesk: CommandLine) -> None:
    result = nightdesk("produce", "nowhere.jsonl")
    assert (result.code, result.err) == (2, "error: cannot read nowhere.jsonl: No such file or directory\n")


@pytest.mark.usefixtures("topics")
def test_a_topic_that_is_not_there(nightdesk: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTDESK_KAFKA__TOPIC_PREFIX", "nowhere.")
    result = nightdesk("produce", "-", stdin=lines(WHOLE))
    assert result.code == EXIT_CODES[FailureKind.NOT_READY]
    assert "nightdesk schemas register" in result.err


@pytest.mark.usefixtures("topics")
def test_a_broker_that_does_not_answer(nightdesk: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nightdesk.messaging.blocking_producer.ANSWER_WITHIN_S", 1.0)
    monkeypatch.setenv("NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = nightdesk("produce", "-", stdin=lines(WHOLE))
    assert result.code == 4
    assert "NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS" in result.err
