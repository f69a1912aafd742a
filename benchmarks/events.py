"""Creates and encodes the events of a run before the clock starts, and sends them with a stock client.

None of our own code encodes or sends them, so the producer does what any team's producer does.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.schemas.topics import INGEST
from nightdesk.settings import Settings

TEXTS = ("please refund my order", "where is my parcel")
DELIVERED_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """`count` events over `subjects` subjects. `source` names the run, in the events and so in the audit."""

    source: str
    type: str
    count: int
    subjects: int

    def subject(self, number: int) -> str:
        return f"{self.source}-{number % self.subjects}"

    def expected(self) -> Counter[str]:
        """The expected number of actions for each subject."""
        return Counter(self.subject(number) for number in range(self.count))


class Encoded(NamedTuple):
    """An event's key and value as Kafka gets them."""

    subject: str
    value: bytes


class EventSender:
    """A stock producer and serializer on the ingest topic."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.kafka.topic_prefix + INGEST.name
        client = SchemaRegistryClient(settings.schema_registry.client_config())
        registered = client.get_latest_version(f"{self._topic}-value")
        self._serialize = AvroSerializer(
            client, registered.schema.schema_str, conf={"auto.register.schemas": False, "use.latest.version": True}
        )
        # As Java's clients: one subject, one partition.
        config = {"log_level": 0, "enable.idempotence": True, "partitioner": "murmur2_random"}
        self._producer = Producer({**settings.kafka.client_config(), **config})

    def encode(self, load: Load) -> list[Encoded]:
        """Encode all events of the load. Every second text asks for a refund."""
        context = SerializationContext(self._topic, MessageField.VALUE)
        encoded = []
        for number in range(load.count):
            value = self._serialize(_event(load, number), context)
            assert isinstance(value, bytes)
            encoded.append(Encoded(load.subject(number), value))
        return encoded

    def send(self, events: Iterable[Encoded]) -> None:
        """Send as fast as the client accepts; returns when the broker has acknowledged everything. Raises `Failure`."""
        for event in events:
            self._produce(event)
        self._flush()

    def send_paced(self, events: Sequence[Encoded], per_second: float) -> dict[str, float]:
        """Send one event after the other at a steady rate. Returns when each subject's event was sent, in epoch
        seconds.
        """
        sent_at: dict[str, float] = {}
        start = time.monotonic()
        for number, event in enumerate(events):
            time.sleep(max(0.0, start + number / per_second - time.monotonic()))
            sent_at[event.subject] = time.time()
            self._produce(event)
        self._flush()
        return sent_at

    def _produce(self, event: Encoded) -> None:
        while True:
            try:
                self._producer.produce(self._topic, key=event.subject, value=event.value)
            except BufferError:
                self._producer.poll(0.1)
            else:
                self._producer.poll(0)
                return

    def _flush(self) -> None:
        left = self._producer.flush(DELIVERED_WITHIN_S)
        if left:
            raise Failure(
                f"{left} events were not delivered to {self._topic}", "See kafka.log", FailureKind.UNREACHABLE
            )


def _event(load: Load, number: int) -> dict[str, Any]:
    return {
        "id": str(number),
        "source": load.source,
        "type": load.type,
        "subject": load.subject(number),
        "time": datetime.now(UTC),
        "datacontenttype": "application/json",
        "data": json.dumps({"text": TEXTS[number % len(TEXTS)], "number": number}),
    }
