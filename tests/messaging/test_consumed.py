"""What confluent-kafka's consumer meets in a log that anyone may write to: read, or passed over, and never for ever.

Against librdkafka's own mock cluster, which stores batches as they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from nightdesk.messaging.consumed import UNREADABLE_HEADERS, headers_of, is_unreadable, original_of, skip_unreadable
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.topic_reader import read_topic
from nightdesk.messaging.unpacking import Compression
from nightdesk.schemas.dead_letters import Original
from tests.hostile.batches import Raw, batch, framed, send

GOOD = batch([Raw(b"k", b"good", ((b"x", b"\xff"), (b"none", None)))])
BAD_NAME = batch([Raw(b"k", b"bad name", ((b"a", b"1"), (b"\xff\xfe", b"v"), (b"c", b"2")))])
GARBAGE = framed(b"garbage", 1, Compression.LZ4)


@pytest.fixture
def kafka() -> Iterator[KafkaSettings]:
    """A cluster in this process with a topic of one partition."""
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    [broker] = cluster.list_topics(timeout=30).brokers.values()
    cluster.produce("t", b"first", partition=0)
    assert cluster.flush(30) == 0
    yield KafkaSettings(bootstrap_servers=f"{broker.host}:{broker.port}", topic_prefix="")
    cluster.flush(30)  # it lives for as long as this producer


def consumed(kafka: KafkaSettings, *batches: bytes) -> list[Message]:
    asyncio.run(send(kafka.bootstrap_servers, "t", 0, batches))
    consumer = Consumer(
        {**kafka.client_config(), "group.id": "g", "auto.offset.reset": "earliest", "enable.partition.eof": True}
    )
    consumer.assign([TopicPartition("t", 0, 0)])
    found: list[Message] = []
    while message := consumer.poll(30):
        if is_unreadable(message):
            skip_unreadable(consumer, message)
        elif message.error() is not None:
            break
        else:
            found.append(message)
    consumer.close()
    return found


def test_headers_are_given_as_they_came(kafka: KafkaSettings) -> None:
    _, good = consumed(kafka, GOOD)
    assert original_of(good) == Original(b"k", b"good", (("x", b"\xff"), ("none", None)))


def test_a_name_that_is_no_text_is_said_and_breaks_nothing_however_often_it_is_asked(kafka: KafkaSettings) -> None:
    """The client leaves an error behind for whatever is called next, and a list with holes."""
    messages = consumed(kafka, *[BAD_NAME] * 500, GOOD)
    for _ in range(3):
        found = [headers_of(message) for message in messages]
        assert found[1:-1] == [UNREADABLE_HEADERS] * 500
        assert found[-1] == (("x", b"\xff"), ("none", None))
    assert {message.value() for message in messages} == {b"first", b"bad name", b"good"}


def test_what_cannot_be_unpacked_is_passed_over(kafka: KafkaSettings) -> None:
    bomb = batch([Raw(value=bytes(150_000_000))], Compression.ZSTD)
    values = [message.value() for message in consumed(kafka, GARBAGE, GOOD, bomb, GARBAGE, GOOD)]
    assert values == [b"first", b"good", b"good"]


def test_a_command_reads_a_topic_to_its_end(kafka: KafkaSettings) -> None:
    asyncio.run(send(kafka.bootstrap_servers, "t", 0, [GARBAGE, BAD_NAME, GOOD]))
    assert [message.value() for message in read_topic(kafka, "t")] == [b"first", b"bad name", b"good"]
