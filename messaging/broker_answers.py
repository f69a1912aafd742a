"""Turns the errors of a broker that does not answer into a `Failure` for the person who asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaException

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import KafkaSettings


@contextmanager
def broker_answers(kafka: KafkaSettings) -> Iterator[None]:
    """Raises `Failure` for a `KafkaException` inside it."""
    try:
        yield
    except KafkaException as error:
        raise Failure(
            f"Kafka at {kafka.bootstrap_servers} does not answer: {error.args[0].str()}",
            "Start it, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS",
            FailureKind.UNREACHABLE,
        ) from error
