"""The proxy breaks what it is told to and nothing else, with real clients and a real broker."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its types forget what it exports

from nightdesk.local.stack import LocalStack
from tests.chaos.kafka_proxy import Direction, KafkaProxy, Role

# Long enough for what must pass to have passed.
SILENT_S = 2.0
WITHIN_S = 30.0


@pytest.fixture(scope="module")
def proxy(stack: LocalStack) -> Iterator[KafkaProxy]:
    with KafkaProxy(stack.settings.kafka.bootstrap_servers) as running:
        yield running


@pytest.fixture
def topic(stack: LocalStack, topic_prefix: str) -> str:
    name = f"{topic_prefix}proxied"
    admin = AdminClient({"bootstrap.servers": stack.settings.kafka.bootstrap_servers})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(WITHIN_S)
    return name


def _produce(address: str, topic: str, timeout_s: float = WITHIN_S) -> int:
    """The number of messages that are not delivered in time; 0 means that all were delivered."""
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    producer.produce(topic, b"value")
    return int(producer.flush(timeout_s))


@contextmanager
def _consumer(address: str, topic: str, **config: str) -> Iterator[Consumer]:
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": topic, "auto.offset.reset": "earliest", "log_level": 0, **config}
    )
    consumer.subscribe([topic])
    try:
        yield consumer
    finally:
        consumer.close()


def test_clients_find_the_broker_through_it(proxy: KafkaProxy, topic: str) -> None:
    address = proxy.address("alone")
    assert _produce(address, topic) == 0
    with _consumer(address, topic) as consumer:
        message = consumer.poll(WITHIN_S)
        assert message is not None
        assert message.value() == b"value"
        brokers = consumer.list_topics(timeout=WITHIN_S).brokers.values()
    assert [f"{broker.host}:{broker.port}" for broker in brokers] == [address]


def test_what_is_held_comes_late_and_hits_one_worker(proxy: KafkaProxy, topic: str) -> None:
    proxy.hold("held", Role.PRODUCE)
    producer = Producer({"bootstrap.servers": proxy.address("held"), "log_level": 0})
    producer.produce(topic, b"late")
    assert producer.flush(SILENT_S) == 1
    assert _produce(proxy.address("other"), topic) == 0
    assert proxy.hit["held", Role.PRODUCE] > 0
    assert proxy.hit["other", Role.PRODUCE] == 0
    proxy.heal("held")
    assert producer.flush(WITHIN_S) == 0


def test_half_open_the_broker_does_what_nobody_hears_of(stack: LocalStack, proxy: KafkaProxy, topic: str) -> None:
    address = proxy.address("half")
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    producer.produce(topic, b"first")
    assert producer.flush(WITHIN_S) == 0
    proxy.hold("half", Role.PRODUCE, directions=(Direction.ANSWERS,))
    producer.produce(topic, b"second")
    assert producer.flush(SILENT_S) == 1
    with _consumer(stack.settings.kafka.bootstrap_servers, topic) as consumer:
        found = [consumer.poll(WITHIN_S) for _ in range(2)]
    assert [message.value() for message in found if message is not None] == [b"first", b"second"]
    proxy.heal("half")
    assert producer.flush(WITHIN_S) == 0


async def test_the_coordinator_alone_is_cut_off_and_fetching_goes_on(proxy: KafkaProxy, topic: str) -> None:
    address = proxy.address("member")
    async with AIOKafkaConsumer(topic, bootstrap_servers=address, group_id=topic, auto_offset_reset="earliest") as one:
        await asyncio.to_thread(_produce, address, topic)
        await one.getone()
        proxy.hold("member", Role.COORDINATOR)
        await asyncio.to_thread(_produce, address, topic)
        record = await one.getone()
        assert record.offset == 1
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(one.commit({TopicPartition(topic, 0): 2}), SILENT_S)
        proxy.heal("member")
        await one.commit({TopicPartition(topic, 0): 2})


def test_the_follower_of_orders_is_told_apart_by_its_name(proxy: KafkaProxy, topic: str) -> None:
    address = proxy.address("follows")
    proxy.hold("follows", Role.CONTROL)
    _produce(address, topic)
    with _consumer(address, topic) as consumer:
        assert consumer.poll(WITHIN_S) is not None
    with _consumer(address, topic, **{"client.id": "nightdesk-control", "group.id": f"{topic}-2"}) as consumer:
        assert consumer.poll(SILENT_S) is None
        proxy.heal("follows")
        assert consumer.poll(WITHIN_S) is not None


def test_a_connection_that_is_reset_is_made_again(proxy: KafkaProxy, topic: str) -> None:
    address = proxy.address("reset")
    reports: list[str] = []
    producer = Producer(
        {"bootstrap.servers": address, "log_level": 0, "error_cb": lambda error: reports.append(error.name())}
    )
    producer.produce(topic, b"before")
    assert producer.flush(WITHIN_S) == 0
    proxy.reset("reset", Role.PRODUCE)
    deadline = time.monotonic() + WITHIN_S
    while not reports and time.monotonic() < deadline:
        producer.poll(0.1)
    assert reports, "the producer never noticed"
    producer.produce(topic, b"after")
    assert producer.flush(WITHIN_S) == 0


def test_a_slow_connection_is_slow(proxy: KafkaProxy, topic: str) -> None:
    address = proxy.address("slow")
    producer = Producer({"bootstrap.servers": address, "log_level": 0})
    producer.produce(topic, b"fast")
    assert producer.flush(WITHIN_S) == 0
    proxy.delay("slow", Role.PRODUCE, seconds=SILENT_S, directions=(Direction.REQUESTS,))
    producer.produce(topic, b"slow")
    assert producer.flush(SILENT_S / 2) == 1, "not before its time"
    assert producer.flush(WITHIN_S) == 0


def test_what_is_open_at_its_end_is_closed(stack: LocalStack) -> None:
    """Connections that are made at the moment of the end, some accepted and some not yet."""
    for _ in range(20):
        with KafkaProxy(stack.settings.kafka.bootstrap_servers) as proxy:
            host, port = proxy.address("late").split(":")
            clients = [socket.create_connection((host, int(port))) for _ in range(10)]
        for client in clients:
            client.close()
    gc.collect()  # a transport that was left open fails this test, and not the one that runs when it is collected
