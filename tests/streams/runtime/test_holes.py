"""The log itself says whether an offset that did not come is there."""

from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its types forget what it exports

from nightdesk.local.stack import LocalStack
from streams.runtime import holes
from tests.streams.storm.broker import wait_until

Config = dict[str, str | int | float | bool]


@pytest.fixture
def config(stack: LocalStack) -> Config:
    return {"bootstrap.servers": stack.settings.kafka.bootstrap_servers}


@pytest.fixture
def topic(config: Config) -> str:
    name = f"holes-{uuid4().hex[:8]}"
    with AdminClient(config) as admin:
        admin.create_topics([NewTopic(name, 1, 1)])[name].result()
    return name


def _write(config: Config, topic: str, count: int) -> None:
    producer = Producer(config)
    for number in range(count):
        producer.produce(topic, str(number))
    producer.flush()


def _write_in_a_transaction(config: Config, topic: str, count: int) -> None:
    """`count` records and the marker of the commit, which takes an offset that no consumer ever sees."""
    producer = Producer({**config, "transactional.id": topic})
    producer.init_transactions()
    producer.begin_transaction()
    for number in range(count):
        producer.produce(topic, str(number))
    producer.commit_transaction()
    # The coordinator writes the marker when it has already answered.
    assert wait_until(lambda: _end(config, topic) == count + 1, within_s=30)


def _end(config: Config, topic: str) -> int:
    consumer = Consumer({**config, "group.id": "holes", "isolation.level": "read_uncommitted"})
    try:
        return int(consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)[1])
    finally:
        consumer.close()


def test_a_record_that_is_there_is_no_hole(config: Config, topic: str) -> None:
    _write(config, topic, 3)
    assert [holes.first_offset_from(config, topic, 0, offset) for offset in range(3)] == [0, 1, 2]


def test_a_transactions_marker_is_a_hole(config: Config, topic: str) -> None:
    _write_in_a_transaction(config, topic, 2)
    _write(config, topic, 1)
    assert holes.first_offset_from(config, topic, 0, 2) == 3
    assert holes.first_offset_from(config, topic, 0, 1) == 1


def test_no_answer_is_not_taken_for_a_hole(config: Config, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holes, "ANSWER_TIMEOUT_S", 0.5)
    nobody = {**config, "bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
    assert holes.first_offset_from(nobody, topic, 0, 0) is None
