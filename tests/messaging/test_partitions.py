"""One rule from key to partition: ours, and librdkafka's with our producers' settings."""

from __future__ import annotations

from confluent_kafka import KafkaError, Producer
from confluent_kafka import Message as Report

from nightdesk.messaging.blocking_producer import BlockingProducer
from nightdesk.messaging.partitions import partition_of
from nightdesk.messaging.producer import Message

PARTITIONS = 4
KEYS = [f"ticket/{number}".encode() for number in range(200)] + [b"\x00", b"\xff" * 9, "Köln".encode()]


def test_a_key_that_javas_client_was_asked_about() -> None:
    assert partition_of(b"ticket/12345", 4) == 1


def test_a_producer_of_ours_chooses_the_same_partition() -> None:
    cluster = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 0})
    [broker] = cluster.list_topics(timeout=30).brokers.values()
    producer = BlockingProducer({"bootstrap.servers": f"{broker.host}:{broker.port}"})
    chosen: dict[bytes | None, int | None] = {}

    def on_delivery(error: KafkaError | None, report: Report) -> None:
        assert error is None
        chosen[report.key()] = report.partition()

    for key in KEYS:
        producer.send(Message("t", key, b"value"), on_delivery)
    assert producer.flush() == 0
    assert chosen == {key: partition_of(key, PARTITIONS) for key in KEYS}
    assert set(chosen.values()) == set(range(PARTITIONS))
    cluster.flush(30)  # the cluster lives for as long as this producer
