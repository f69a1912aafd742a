"""Producing from a command: the records are with the broker when it returns. Called by commands that give orders."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from nightdesk.exits import ExitCode, Failure
from nightdesk.settings import KafkaSettings
from schemas.topics import Topic

DELIVERY_TIMEOUT_S = 30.0


def say(kafka: KafkaSettings, topic: Topic, records: Iterable[tuple[str, bytes]], partition: int = -1) -> None:
    """Produce (key, value) pairs, partitioned by key as the stages do unless `partition` says where. Raises
    `Failure`.
    """
    failures: list[str] = []

    def on_delivery(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failures.append(error.str())

    settings = {"enable.idempotence": True, "partitioner": "murmur2_random", "message.max.bytes": 4_000_000}
    producer = Producer(kafka.client_config() | settings)
    name = kafka.topic_prefix + topic.name
    try:
        for key, value in records:
            producer.produce(name, key=key, value=value, partition=partition, on_delivery=on_delivery)
    except KafkaException as error:
        failures.append(str(error))
    undelivered = producer.flush(DELIVERY_TIMEOUT_S)
    if failures or undelivered:
        reason = failures[0] if failures else f"no answer in {DELIVERY_TIMEOUT_S:.0f} s"
        raise Failure(f"{name} did not take it: {reason}", "Run `nightdesk topics apply`", ExitCode.UNREACHABLE)
