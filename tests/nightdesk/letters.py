"""Dead letters on a real broker as a stage writes them: what the guard says of records that fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from faust.types import TP

from nightdesk.settings import Settings
from schemas.codec import Codec
from schemas.dead_letters import CONTEXT_HEADER
from schemas.records import DeadLetter, Event
from schemas.topics import ACT, INGEST
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Guard, Route
from streams.runtime.policy import WorkerPolicy
from streams.runtime.producer import Headers
from tests.streams.runtime.arrivals import arrival, handled

START = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)


@dataclass
class Buried:
    """A stage for which every record is too much. Each letter is a minute younger than the one before it."""

    settings: Settings
    codec: Codec
    minutes: int = 0

    def __call__(self, value: bytes | None, key: bytes | None = b"t-1", headers: Headers = (), **where: Any) -> str:
        """Bury a record; gives the letter's id."""
        topic, stage = where.get("topic", INGEST), where.get("stage", "ingest")
        prefix = self.settings.kafka.topic_prefix
        self.minutes += 1
        now = START + timedelta(minutes=self.minutes)
        policy = WorkerPolicy({}, prefix, 4, "w0", clock=lambda: now)
        guard = Guard(stage, (Route(INGEST, _refuse), Route(ACT, _refuse)), self.codec, policy)
        came = arrival(TP(prefix + topic.name, where.get("partition", 1)), self.minutes, key, value, headers)
        producer = Producer({**self.settings.kafka.client_config(), "message.max.bytes": 8_000_000})
        messages = handled(guard, came).messages
        for message in messages:
            producer.produce(message.topic, message.value, message.key, headers=list(message.headers))
        assert producer.flush(30) == 0
        return self.codec.decode(DeadLetter, dict(messages[0].headers)[CONTEXT_HEADER]).dead_letter_id

    def event(self, number: int, **where: Any) -> str:
        """Bury an event that can be read."""
        return self(self.codec.encode(event(number)), f"t-{number}".encode(), **where)


def event(number: int) -> Event:
    return Event(id=f"evt-{number}", source="shop", type="ticket.created", subject=f"t-{number}", time=START)


def everything(settings: Settings, topic: str) -> list[Message]:
    """What lies on a topic now."""
    return list(_read(settings, settings.kafka.topic_prefix + topic))


def _read(settings: Settings, name: str) -> Iterator[Message]:
    consumer = Consumer({**settings.kafka.client_config(), "group.id": "test", "enable.partition.eof": True})
    try:
        unread = set(consumer.list_topics(name).topics[name].partitions)
        consumer.assign([TopicPartition(name, number, 0) for number in unread])
        while unread:
            message = consumer.poll(60.0)
            assert message is not None, f"{name} gave no answer"
            error = message.error()
            if error is None:
                yield message
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error.str()
                unread.discard(message.partition())
    finally:
        consumer.close()


def _refuse(delivery: Delivery[Any], changes: Changes) -> None:
    raise ConnectionError("the other side hung up\x1b[2J")
