"""The real stack survives a restart, and belongs to one `up`."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types forget its exports
    AdminClient,
    NewTopic,
)

from nightdesk.local.stack import LocalStack
from nightdesk.messaging.failures import Failure
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.topics import TopicState, apply_topics, inspect_topics
from nightdesk.running_stack import running_stack
from nightdesk.settings import Settings
from tests.nightdesk.command_line import CommandLine


def test_apply_creates_nothing_beside_topics_with_other_partitions(
    nightdesk: CommandLine, stack_settings: Settings
) -> None:
    kafka = stack_settings.kafka
    name = f"{kafka.topic_prefix}act"
    admin = AdminClient(kafka.client_config())
    admin.create_topics([NewTopic(name, 2, 1)])[name].result()
    while name not in admin.list_topics(timeout=10).topics:  # created is not yet known to all
        pass
    result = nightdesk("topics", "apply")
    assert result.code == 1
    assert f"1 topics lack 4 partitions, and nothing was created: {name}" in result.err
    assert "NIGHTDESK_KAFKA__PARTITIONS" in result.err
    assert {one.state for one in inspect_topics(kafka) if one.topic != name} == {TopicState.missing}


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
