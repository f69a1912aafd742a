"""The real stack: what `topics apply` and `schemas register` leave on it, and that it outlives a restart."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its types forget its exports

from nightdesk.commands.schemas import register_schemas
from nightdesk.commands.topics import State, apply_topics, inspect_topics
from nightdesk.exits import ExitCode, Failure
from nightdesk.local.stack import LocalStack
from nightdesk.running_stack import running_stack
from nightdesk.settings import KafkaSettings, Settings
from schemas.topics import TOPICS


def test_topics_apply_creates_once_and_then_finds_them(stack_settings: Settings) -> None:
    created = apply_topics(stack_settings.kafka)
    assert {one.state for one in created} == {State.created}
    assert {stack_settings.kafka.topic_prefix + topic.name for topic in TOPICS} <= {one.topic for one in created}
    assert {one.state for one in apply_topics(stack_settings.kafka)} == {State.present}


def test_a_topic_that_differs_is_reported_and_left_alone(stack_settings: Settings) -> None:
    kafka = stack_settings.kafka
    name = f"{kafka.topic_prefix}ingest"
    admin = AdminClient(kafka.client_config())
    admin.create_topics([NewTopic(name, 1, 1)])[name].result()
    while name not in admin.list_topics(timeout=10).topics:  # created is not yet known to all
        pass
    for _ in range(2):
        found = {one.topic: one for one in apply_topics(kafka)}[name]
        assert found.state is State.differs
        assert found.differences[0] == "partitions: 1, should be 4"
    assert {one.state for one in inspect_topics(kafka) if one.topic != name} == {State.present}


def test_no_broker_is_a_clear_failure() -> None:
    with pytest.raises(Failure, match=r"127.0.0.1:1 cannot be used.*NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS") as caught:
        apply_topics(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    assert caught.value.code is ExitCode.UNREACHABLE


def test_registering_again_gives_the_same_ids(stack_settings: Settings) -> None:
    ids = register_schemas(stack_settings)
    assert len(ids) > len(TOPICS)
    assert register_schemas(stack_settings) == ids


@pytest.mark.slow
def test_records_and_schema_ids_survive_a_restart(tmp_path: Path) -> None:
    with LocalStack.on_free_ports(tmp_path) as first:
        apply_topics(first.settings.kafka)
        ids = register_schemas(first.settings)
        producer = Producer(first.settings.kafka.client_config())
        producer.produce("nightdesk.ingest", b"kept")
        assert producer.flush(30) == 0
        running = running_stack(tmp_path)
        assert running is not None
        assert running.settings["kafka"]["bootstrap_servers"] == first.settings.kafka.bootstrap_servers
    assert running_stack(tmp_path) is None
    with LocalStack.on_free_ports(tmp_path) as second:
        assert register_schemas(second.settings) == ids
        group = {"group.id": "restart", "auto.offset.reset": "earliest"}
        consumer = Consumer(second.settings.kafka.client_config() | group)
        consumer.subscribe(["nightdesk.ingest"])
        message = consumer.poll(60)
        consumer.close()
        assert message is not None
        assert message.value() == b"kept"


def test_two_stacks_on_one_home_are_refused(stack: LocalStack) -> None:
    with pytest.raises(Failure, match=r"already runs on .* \(process \d+\)"), LocalStack(stack.settings):
        pass
