"""Reading a topic to the end that it had when the reader asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka import Message as Consumed
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # its types forget what it exports

from nightdesk.messaging import topic_reader
from nightdesk.messaging.blocking_producer import BlockingProducer
from nightdesk.messaging.clients import new_admin, new_producer, new_reader
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.producer import Message
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.topic_reader import read_range, read_topic
from nightdesk.settings import Settings

WITHIN_S = 30.0


@pytest.fixture
def kafka(stack_settings: Settings) -> KafkaSettings:
    return stack_settings.kafka


@pytest.fixture
def topic(kafka: KafkaSettings) -> str:
    """A topic of two partitions."""
    name = f"read-{uuid4()}"
    with new_admin(kafka.client_config()) as admin:
        [made] = admin.create_topics([NewTopic(name, 2, 1)]).values()
        made.result(WITHIN_S)
    return name


def fill(kafka: KafkaSettings, topic: str, count: int, partition: int = 0) -> None:
    values = (str(number).encode() for number in range(count))
    BlockingProducer.of(kafka).deliver(Message(topic, b"key", value, partition=partition) for value in values)


def delete_before(kafka: KafkaSettings, topic: str, offset: int) -> None:
    with new_admin(kafka.client_config()) as admin:
        [deleted] = admin.delete_records([TopicPartition(topic, 0, offset)]).values()
        deleted.result(WITHIN_S)


def values(kafka: KafkaSettings, topic: str) -> list[int]:
    return [int(message.value() or b"") for message in read_topic(kafka, topic)]


def test_a_log_that_lost_its_beginning_is_read_from_where_it_begins(kafka: KafkaSettings, topic: str) -> None:
    """Retention does that. A reader that went on at the end would show an empty topic."""
    fill(kafka, topic, 5)
    delete_before(kafka, topic, 2)
    assert values(kafka, topic) == [2, 3, 4]


def test_a_log_that_lost_everything_has_an_end_too(kafka: KafkaSettings, topic: str) -> None:
    fill(kafka, topic, 5)
    fill(kafka, topic, 1, partition=1)
    delete_before(kafka, topic, 5)
    assert values(kafka, topic) == [0]


def test_what_is_written_meanwhile_does_not_keep_the_reader(kafka: KafkaSettings, topic: str) -> None:
    fill(kafka, topic, 3)
    fill(kafka, topic, 3, partition=1)
    with writing(kafka, topic):
        assert len(values(kafka, topic)) >= 6


def test_what_an_open_transaction_holds_back_is_not_read(kafka: KafkaSettings, topic: str) -> None:
    fill(kafka, topic, 2)
    producer = new_producer(kafka.client_config(), own={"transactional.id": topic})
    producer.init_transactions(WITHIN_S)
    producer.begin_transaction()
    producer.produce(topic, b"2", partition=0)
    assert producer.flush(WITHIN_S) == 0
    assert values(kafka, topic) == [0, 1]
    producer.abort_transaction(WITHIN_S)
    fill(kafka, topic, 1)
    assert values(kafka, topic) == [0, 1, 0]


def test_a_range_ends_before_its_end(kafka: KafkaSettings, topic: str) -> None:
    fill(kafka, topic, 5)
    consumer = new_reader(kafka.client_config(), topic)
    place = (topic, 0)
    try:
        assert _offsets(read_range(consumer, {place: 1}, {place: 3}, WITHIN_S)) == [1, 2]
        assert _offsets(read_range(consumer, {place: 3}, {place: 9}, WITHIN_S)) == [3, 4]
        assert _offsets(read_range(consumer, {place: 3}, {place: 3}, WITHIN_S)) == []
    finally:
        consumer.close()


def test_a_topic_that_is_not_there_is_named_and_not_made(kafka: KafkaSettings) -> None:
    for _ in range(2):
        with pytest.raises(Failure, match="there is no topic never-made") as caught:
            list(read_topic(kafka, "never-made"))
        assert caught.value.kind is FailureKind.NOT_READY


def _offsets(messages: Iterator[Consumed]) -> list[int | None]:
    return [message.offset() for message in messages]


@contextmanager
def writing(kafka: KafkaSettings, topic: str) -> Iterator[None]:
    """Somebody writes to the topic all the time, so that no fetch comes back empty."""
    producer, over, began = new_producer(kafka.client_config(), own={"linger.ms": 0}), Event(), Event()

    def write() -> None:
        while not over.is_set():
            for partition in (0, 1):
                producer.produce(topic, b"0", partition=partition)
            producer.flush(WITHIN_S)
            began.set()

    thread = Thread(target=write)
    thread.start()
    assert began.wait(WITHIN_S)
    yield
    over.set()
    thread.join(WITHIN_S)


def test_the_reader_is_closed_however_the_reading_ends(
    small_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Consumer] = []

    def new(*arguments: Any) -> Consumer:
        made.append(new_reader(*arguments))
        return made[-1]

    monkeypatch.setattr(topic_reader, "new_reader", new)
    kafka = small_settings.kafka
    name = f"{kafka.topic_prefix}audit"
    fill(kafka, name, 3)
    assert sorted(values(kafka, name)) == [0, 1, 2]
    reading = read_topic(kafka, name)
    next(reading)
    del reading
    with pytest.raises(Failure, match="there is no topic nowhere"):
        list(read_topic(kafka, "nowhere"))
    assert len(made) == 3
    for consumer in made:
        with pytest.raises(RuntimeError, match="closed"):
            consumer.assignment()
