"""`nightdesk produce`: events from JSON lines onto the ingest topic, as any producer may send them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, OutputOption
from nightdesk.registered_codec import registered_codec
from nightdesk.settings import KafkaSettings, load_settings
from schemas.codec import Codec
from schemas.records import Event
from schemas.topics import INGEST

ANSWER_WITHIN_S = 10.0
DELIVERED_WITHIN_S = 60.0

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

    def event(self) -> Event:
        fields = self.model_dump(exclude={"data"})
        return Event(**fields, data=_json_text(self.data))


@dataclass(slots=True)
class Report:
    """What became of the lines: how many the broker has, and line number -> why the others were not sent."""

    topic: str
    delivered: int = 0
    failed: dict[int, str] = field(default_factory=dict)


def produce(
    file: Annotated[str, typer.Argument(help="JSON lines: id, source, type, subject, time, data; - is stdin")] = "-",
    source: Annotated[str, typer.Option(help="for lines without one")] = "nightdesk/produce",
    type: Annotated[str | None, typer.Option(help="for lines without one")] = None,  # noqa: A002 - the option's name
    traceparent: Annotated[str | None, typer.Option(help="W3C trace context to send with every event")] = None,
    output: OutputOption = Output.text,
) -> None:
    """Send events. A bad line is named and the rest still goes; the exit code is then 1."""
    settings = load_settings()
    defaults = {"source": source} | ({"type": type} if type else {})
    with _open(file) as lines, registered_codec(settings) as codec:
        report = send(lines, defaults, traceparent, settings.kafka, codec)
    for number, reason in sorted(report.failed.items()):
        print(f"line {number}: {reason}", file=sys.stderr)
    if output is Output.json:
        failed = [{"line": number, "reason": reason} for number, reason in sorted(report.failed.items())]
        print(json.dumps({"topic": report.topic, "delivered": report.delivered, "failed": failed}, indent=2))
    else:
        print(f"{report.delivered} of {report.delivered + len(report.failed)} events delivered to {report.topic}")
    if report.failed:
        raise typer.Exit(ExitCode.FAILED)


def send(
    lines: Iterable[bytes], defaults: dict[str, str], traceparent: str | None, kafka: KafkaSettings, codec: Codec
) -> Report:
    """Send one event per line, wait for the broker's word on each. Raises `Failure` when the topic is out of reach."""
    topic = kafka.topic_prefix + INGEST.name
    producer = _producer(kafka, topic)
    report = Report(topic)
    headers = [("traceparent", traceparent.encode())] if traceparent else []
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            event = read(text, defaults, datetime.now(UTC))
            value = codec.encode(event)
            _produce(producer, topic, event.subject.encode(), value, headers, _on_delivery(report, number))
        except (ValueError, RecursionError, KafkaException) as error:
            report.failed[number] = _reason(error)
    producer.flush(DELIVERED_WITHIN_S)
    return report


def read(text: bytes, defaults: dict[str, str], now: datetime) -> Event:
    """The event of a line. What it leaves out comes from `defaults`, a new id, and `now`. Raises ValueError."""
    fields = json.loads(text.decode("utf-8-sig"))
    if not isinstance(fields, dict):
        raise ValueError("not a JSON object")
    return Line.model_validate({"id": str(uuid4()), "time": now, **defaults, **fields}).event()


def _json_text(data: Any) -> str:
    if isinstance(data, str):
        try:
            json.loads(data)
        except ValueError:
            pass
        else:
            return data
    return json.dumps(data, ensure_ascii=False, allow_nan=False)


def _producer(kafka: KafkaSettings, topic: str) -> Producer:
    producer = Producer(
        {
            **kafka.client_config(),
            "log_level": 0,
            "enable.idempotence": True,
            # As Java's and our own: one subject, one partition, whoever produces.
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "linger.ms": 5,
            "delivery.timeout.ms": int(DELIVERED_WITHIN_S * 1000),
        }
    )
    try:
        metadata = producer.list_topics(topic, timeout=ANSWER_WITHIN_S)
    except KafkaException as error:
        raise Failure(
            f"Kafka at {kafka.bootstrap_servers} does not answer: {_reason(error)}",
            "Start it, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS",
            ExitCode.UNREACHABLE,
        ) from error
    if metadata.topics[topic].error is not None:
        raise Failure(f"there is no topic {topic}", "Run `nightdesk topics apply`")
    return producer


def _produce(
    producer: Producer,
    topic: str,
    key: bytes,
    value: bytes,
    headers: list[tuple[str, bytes]],
    on_delivery: Callable[[KafkaError | None, Message], None],
) -> None:
    while True:
        try:
            producer.produce(topic, key=key, value=value, headers=list(headers), on_delivery=on_delivery)
        except BufferError:
            producer.poll(0.1)
        else:
            producer.poll(0)
            return


def _on_delivery(report: Report, number: int) -> Callable[[KafkaError | None, Message], None]:
    def note(error: KafkaError | None, _message: Message) -> None:
        if error is None:
            report.delivered += 1
        else:
            report.failed[number] = error.str()

    return note


def _reason(error: Exception) -> str:
    if isinstance(error, ValidationError):
        problem = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
    if isinstance(error, KafkaException):
        return str(error.args[0].str())
    if isinstance(error, UnicodeError):
        return f"not valid Unicode: {error}"
    return str(error) or type(error).__name__


def _open(file: str) -> Any:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise Failure(f"cannot read {file}: {error.strerror}", code=ExitCode.USAGE) from error
