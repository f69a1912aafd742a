"""Produces from a thread that may block: when `deliver` returns, the broker has the messages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from math import inf

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import Message as Report

from nightdesk.messaging.clients import DELIVERY_TIMEOUT_S, QUIET, ClientConfig, new_producer
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.producer import Message
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.schemas.topics import Topic

ANSWER_WITHIN_S = 10.0
ROOM_WITHIN_S = 0.1
IDLE_AT_MOST_S = 60.0

OnDelivery = Callable[[KafkaError | None, Report], None]


class BlockingProducer:
    """One producer, used for all messages of its owner."""

    def __init__(self, client_config: ClientConfig, delivery_timeout_s: float = DELIVERY_TIMEOUT_S) -> None:
        self._producer = new_producer(client_config, delivery_timeout_s)
        self._delivery_timeout_s = delivery_timeout_s

    @classmethod
    def of(cls, kafka: KafkaSettings, delivery_timeout_s: float = DELIVERY_TIMEOUT_S) -> BlockingProducer:
        """A producer for a process that a person started."""
        return cls({**kafka.client_config(), **QUIET}, delivery_timeout_s)

    def deliver(self, messages: Iterable[Message]) -> None:
        """Returns when the broker has acknowledged all of them. Raises `Failure`."""
        failures: list[str] = []
        for message in messages:
            try:
                self.send(message, _noting(message.topic, failures))
            except KafkaException as error:
                failures.append(f"{message.topic}: {error}")
        undelivered = self.flush()
        if failures or undelivered:
            reason = failures[0] if failures else f"no answer in {self._delivery_timeout_s:.0f} s"
            raise Failure(
                f"the broker did not accept everything: {reason}",
                "Run `nightdesk topics apply`",
                FailureKind.UNREACHABLE,
            )

    def send(self, message: Message, on_delivery: OnDelivery) -> None:
        """Hand one message over; waits while the queue is full. `on_delivery` is called here or in `flush`.

        Raises `KafkaException` for a message that no broker would take.
        """
        while True:
            try:
                self._producer.produce(
                    message.topic,
                    key=message.key,
                    value=message.value,
                    headers=list(message.headers),
                    partition=message.partition,
                    on_delivery=on_delivery,
                )
            except BufferError:
                self._producer.poll(ROOM_WITHIN_S)
            else:
                self._producer.poll(0)
                return

    def flush(self) -> int:
        """Wait for what was sent, for as long as the delivery may take. Returns how many messages are still open."""
        return self._producer.flush(self._delivery_timeout_s)

    def has_topic(self, name: str) -> bool:
        """Whether the broker has the topic. Raises `KafkaException` when it does not answer."""
        return self._producer.list_topics(name, timeout=ANSWER_WITHIN_S).topics[name].error is None


def _noting(topic: str, failures: list[str]) -> OnDelivery:
    def on_delivery(error: KafkaError | None, _report: Report) -> None:
        if error is not None:
            failures.append(f"{topic}: {error.str()}")

    return on_delivery


def produce(kafka: KafkaSettings, topic: Topic, records: Iterable[tuple[str, bytes]]) -> None:
    """Produce (key, value) pairs to the same partitions as the stages would. Raises `Failure`."""
    name = kafka.topic_prefix + topic.name
    with _borrowed(kafka) as producer:
        producer.deliver(Message(name, key.encode(), value, partition=topic.partition) for key, value in records)


# The producer that the last `produce` with this address and login used, and since when it is idle.
_idle: dict[KafkaSettings, tuple[float, BlockingProducer]] = {}


@contextmanager
def _borrowed(kafka: KafkaSettings) -> Iterator[BlockingProducer]:
    """A producer that nobody else uses meanwhile. It is used again soon after, because a new one waits for half a
    second or more before its first message: librdkafka asks for the producer id at fixed intervals. One that failed is
    given up.
    """
    address = kafka.model_copy(update={"topic_prefix": ""})
    idle_since, producer = _idle.pop(address, (-inf, None))
    if producer is None or time.monotonic() - idle_since > IDLE_AT_MOST_S:
        producer = BlockingProducer.of(kafka)
    yield producer
    _idle[address] = time.monotonic(), producer
