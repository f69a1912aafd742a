"""Dead letters on a real broker, written as a stage writes them: by the guard, for records that fail."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from confluent_kafka import Message, Producer
from faust.types import TP

from nightdesk.messaging.partitions import partition_of
from nightdesk.messaging.producer import Headers
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.schemas.bounds import DEAD_LETTER_BYTES_AT_MOST
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.dead_letters import CONTEXT_HEADER, lost
from nightdesk.schemas.dead_letters import headers as carried
from nightdesk.schemas.records import DeadLetter, Event
from nightdesk.schemas.topics import ACT, INGEST
from nightdesk.settings import Settings
from nightdesk.streams.api import Delivery, Route, StagedWrites
from nightdesk.streams.runtime.handling.dead_letters import keep_oversized
from nightdesk.streams.runtime.handling.guard import Guard
from nightdesk.streams.runtime.policy import WorkerPolicy
from tests.streams.runtime.arrivals import arrival, ended

PARTITIONS = 4
START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


@dataclass
class DlqWriter:
    """A stage at which every record fails. Each letter is a minute younger than the one before it."""

    settings: Settings
    codec: Codec
    minutes: int = 0
    dead_letter_bytes: int = DEAD_LETTER_BYTES_AT_MOST
    oversized_dir: Path | None = None

    def __call__(self, value: bytes | None, key: bytes | None = b"t-1", headers: Headers = (), **where: Any) -> str:
        """Make a dead letter of a record; returns the letter's id."""
        topic, stage = where.get("topic", INGEST), where.get("stage", "ingest")
        prefix = self.settings.kafka.topic_prefix
        self.minutes += 1
        now = START + timedelta(minutes=self.minutes)
        policy = WorkerPolicy({}, prefix, PARTITIONS, "w0", clock=lambda: now, dead_letter_bytes=self.dead_letter_bytes)
        guard = Guard(stage, (Route(INGEST, _refuse), Route(ACT, _refuse)), self.codec, policy)
        place, offset = TP(prefix + topic.name, where.get("partition", 1)), where.get("offset", self.minutes)
        came = arrival(place, offset, key, value, headers)
        producer = Producer({**self.settings.kafka.client_config(), "message.max.bytes": 8_000_000})
        changes = asyncio.run(ended(guard, came))
        messages = changes.messages
        if self.oversized_dir is not None:
            keep_oversized(self.oversized_dir, *changes.oversized)
        for message in messages:
            producer.produce(message.topic, message.value, message.key, headers=list(message.headers))
        assert producer.flush(30) == 0
        return self.codec.decode(DeadLetter, dict(messages[0].headers)[CONTEXT_HEADER]).dead_letter_id

    def lost(self, first: int, end: int) -> str:
        """Records of `ingest` that the log deleted before they were read; returns the letter's id."""
        letter = lost("ingest", "ingest", 1, (first, end), START)
        producer = Producer(self.settings.kafka.client_config())
        name = f"{self.settings.kafka.topic_prefix}{INGEST.dlq}"
        producer.produce(name, None, None, partition=1, headers=list(carried(letter, self.codec)))
        assert producer.flush(30) == 0
        return letter.dead_letter_id

    def event(self, number: int, **where: Any) -> str:
        """Send an event to the DLQ that can be read."""
        key = f"t-{number}".encode()
        return self(self.codec.encode(event(number)), key, **{"partition": partition_of(key, PARTITIONS)} | where)


def event(number: int) -> Event:
    return Event(id=f"evt-{number}", source="shop", type="ticket.created", subject=f"t-{number}", time=START)


def everything(settings: Settings, topic: str) -> list[Message]:
    """The current records of a topic."""
    return list(read_topic(settings.kafka, settings.kafka.topic_prefix + topic))


def _refuse(delivery: Delivery[Any], changes: StagedWrites) -> None:
    raise ConnectionError("the other side hung up\x1b[2J")
