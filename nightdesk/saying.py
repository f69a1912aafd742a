"""Producing from a command: the records are with the broker when it returns. Called by commands that give orders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from nightdesk.exits import ExitCode, Failure
from nightdesk.settings import KafkaSettings
from schemas.topics import Topic

DELIVERY_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record on its way. `topic` has its prefix; `partition` -1 lets the key decide, as in the stages."""

    topic: str
    key: str | bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = -1


class Speaker:
    """One producer for as many calls as a command makes."""

    def __init__(self, kafka: KafkaSettings) -> None:
        # Room for a dead letter: the record as it came, and our headers.
        settings = {"enable.idempotence": True, "partitioner": "murmur2_random", "message.max.bytes": 8_000_000}
        self._producer = Producer(kafka.client_config() | settings)

    def deliver(self, records: Iterable[Outgoing]) -> None:
        """Returns when the broker has all of them. Raises `Failure`."""
        failures: list[str] = []
        for record in records:
            try:
                self._produce(record, failures)
            except KafkaException as error:
                failures.append(f"{record.topic}: {error}")
        undelivered = self._producer.flush(DELIVERY_TIMEOUT_S)
        if failures or undelivered:
            reason = failures[0] if failures else f"no answer in {DELIVERY_TIMEOUT_S:.0f} s"
            raise Failure(
                f"the broker did not take everything: {reason}", "Run `nightdesk topics apply`", ExitCode.UNREACHABLE
            )

    def _produce(self, record: Outgoing, failures: list[str]) -> None:
        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(f"{record.topic}: {error.str()}")

        while True:
            try:
                self._producer.produce(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    partition=record.partition,
                    on_delivery=on_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return


def say(kafka: KafkaSettings, topic: Topic, records: Iterable[tuple[str, bytes]]) -> None:
    """Produce (key, value) pairs to where the stages would. Raises `Failure`."""
    name = kafka.topic_prefix + topic.name
    Speaker(kafka).deliver(Outgoing(name, key, value, partition=topic.partition) for key, value in records)
