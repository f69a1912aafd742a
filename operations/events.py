"""Sends events from JSON lines to the ingest topic, as any producer could."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as Delivered
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from nightdesk.messaging.blocking_producer import BlockingProducer, OnDelivery
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.producer import Headers, Message
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.settings import Endpoints, KafkaSettings
from nightdesk.processors.event_checks import problem_with
from nightdesk.processors.json_text import DataInvalid, parse_exact, parse_json
from nightdesk.schemas import trace_context
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import Event
from nightdesk.schemas.topics import INGEST

DELIVERED_WITHIN_S = 60.0

# Our texts for those kinds of pydantic's errors whose own text does not say what to do.
REASONS = {
    "timezone_aware": "has no time zone: write 2026-11-20T08:00:00Z, or an offset in place of Z, as in +01:00",
    "extra_forbidden": "is not a field of an event: use id, source, type, subject, time, datacontenttype and data",
}

NonEmpty = Annotated[str, Field(min_length=1)]


class Line(BaseModel):
    """A line of the file: an event in CloudEvents' names. `data` is any JSON; a string may hold JSON text itself."""

    model_config = ConfigDict(extra="forbid")

    id: NonEmpty
    source: NonEmpty
    type: NonEmpty
    subject: NonEmpty
    time: AwareDatetime
    datacontenttype: NonEmpty = "application/json"
    data: Any = None

    @field_validator("time")
    @classmethod
    def _in_utc(cls, time: datetime) -> datetime:
        try:
            return time.astimezone(UTC)
        except OverflowError:
            raise ValueError("is outside of the years 1 to 9999 in UTC") from None

    def event(self) -> Event:
        fields = self.model_dump(exclude={"data"})
        return Event(**fields, data=_json_text(self.data))


@dataclass(slots=True)
class SendReport:
    """The number of sent events, and line number -> error for the lines that were not sent."""

    topic: str
    delivered: int = 0
    failed: dict[int, str] = field(default_factory=dict)


def send_events(
    endpoints: Endpoints, lines: Iterable[bytes], defaults: dict[str, str], traceparent: str | None = None
) -> SendReport:
    """Send one event per line and wait until the broker has each. `defaults` are fields of lines that lack them.

    Raises `Failure` if the topic or the registry cannot be reached, or `traceparent` is not valid.
    """
    headers = () if traceparent is None else (("traceparent", _checked(traceparent)),)
    with registered_codec(endpoints, Event) as codec:
        return _send(endpoints.kafka, codec, lines, defaults, headers)


def _send(
    kafka: KafkaSettings, codec: Codec, lines: Iterable[bytes], defaults: dict[str, str], headers: Headers
) -> SendReport:
    topic = kafka.topic_prefix + INGEST.name
    producer = _producer(kafka, topic)
    report = SendReport(topic)
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            event = read_event(text, defaults, datetime.now(UTC))
            value = codec.encode(event)
            producer.send(Message(topic, event.subject.encode(), value, headers), _on_delivery(report, number))
        except (ValueError, RecursionError, KafkaException) as error:
            report.failed[number] = _reason(error)
    producer.flush()
    return report


def _checked(traceparent: str) -> bytes:
    if trace_context.parse(traceparent) is None:
        raise Failure(
            f"{traceparent!r} is no trace context",
            "Write it as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            FailureKind.INVALID,
        )
    return traceparent.encode()


def read_event(text: bytes, defaults: dict[str, str], now: datetime) -> Event:
    """The event of a line. Missing fields come from `defaults`; a missing id is new, and a missing time is `now`.
    Raises ValueError.
    """
    fields = parse_exact(text.decode("utf-8-sig"), "the line")
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    event = Line.model_validate({"id": str(uuid4()), "time": now, **defaults, **fields}).event()
    problem = problem_with(event, now)
    if problem is not None:
        raise ValueError(problem)
    return event


def _json_text(data: Any) -> str:
    if isinstance(data, str):
        try:
            parse_json(data, "data")
        except DataInvalid:
            pass
        else:
            parse_exact(data, "data")
            return data
    return json.dumps(data, ensure_ascii=False, allow_nan=False)


def _producer(kafka: KafkaSettings, topic: str) -> BlockingProducer:
    producer = BlockingProducer.of(kafka, DELIVERED_WITHIN_S)
    try:
        is_there = producer.has_topic(topic)
    except KafkaException as error:
        raise Failure(
            f"Kafka at {kafka.bootstrap_servers} does not answer: {_reason(error)}",
            "Start it, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS",
            FailureKind.UNREACHABLE,
        ) from error
    if not is_there:
        raise Failure(f"there is no topic {topic}", "Run `nightdesk topics apply`")
    return producer


def _on_delivery(report: SendReport, number: int) -> OnDelivery:
    def note(error: KafkaError | None, _report: Delivered) -> None:
        if error is None:
            report.delivered += 1
        else:
            report.failed[number] = error.str()

    return note


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False, include_input=False)[0]
        said = REASONS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        return f"{'.'.join(map(str, problem['loc']))}: {said}"
    if isinstance(error, KafkaException):
        return str(error.args[0].str())
    if isinstance(error, UnicodeError):
        return f"not valid Unicode: {error}"
    return str(error) or type(error).__name__
