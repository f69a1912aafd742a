"""Sends events as any team would, in a thread of its own, whatever happens to the broker."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, Message, Producer

from nightdesk.schemas.topics import INGEST
from nightdesk.settings import Settings

DELIVERED_WITHIN_S = 300


@dataclass(frozen=True)
class Raw:
    """A record of the ingest topic, valid or not."""

    key: str
    value: bytes


class Sender:
    """One producer, so that records with the same key stay in order."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.kafka.topic_prefix + INGEST.name
        config = {
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.max.bytes": 4_000_000,
            "message.timeout.ms": DELIVERED_WITHIN_S * 1000,
            "log_level": 0,
        }
        self._producer = Producer(settings.kafka.client_config() | config)
        self._threads: list[threading.Thread] = []
        self._failures: list[str] = []

    def send(self, records: Sequence[Raw], over_s: float = 0.0) -> None:
        """Begin to send, spread evenly over `over_s` seconds; `finish` waits for the end."""
        thread = threading.Thread(target=self._send, args=(records, over_s), daemon=True)
        thread.start()
        self._threads.append(thread)

    @property
    def sending(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def finish(self) -> None:
        """Wait until the broker has acknowledged everything."""
        for thread in self._threads:
            thread.join()
        left = self._producer.flush(DELIVERED_WITHIN_S)
        assert not left, f"{left} events were not delivered"
        assert not self._failures, self._failures[0]

    def _send(self, records: Sequence[Raw], over_s: float) -> None:
        began = time.monotonic()
        for number, record in enumerate(records):
            time.sleep(max(0.0, began + over_s * number / len(records) - time.monotonic()))
            self._producer.produce(self._topic, record.value, record.key.encode(), on_delivery=self._delivered)
            self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failures.append(error.str())
