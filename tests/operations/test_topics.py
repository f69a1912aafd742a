"""The topics and schemas of an installation: made once, compared, and never changed."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Message, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types forget its exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.operations.doctor import check_kafka
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.topics import TopicState, apply_topics, inspect_topics
from nightdesk.schemas.topics import DAY_MS, TOPICS
from nightdesk.settings import Settings
from tests.streams.fault_injection.broker import wait_until


def test_topics_apply_creates_once_and_then_finds_them(stack_settings: Settings) -> None:
    created = apply_topics(stack_settings.kafka)
    assert {one.state for one in created} == {TopicState.created}
    assert {stack_settings.kafka.topic_prefix + topic.name for topic in TOPICS} <= {one.topic for one in created}
    assert {one.state for one in apply_topics(stack_settings.kafka)} == {TopicState.present}


@pytest.mark.parametrize(
    ("partitions", "difference", "others"),
    [
        # Keys would not lie where the workers look for them, so nothing is created beside it.
        (1, "partitions: 1, should be 4", TopicState.missing),
        (4, "retention.ms: 604800000, should be 2592000000", TopicState.present),
    ],
)
def test_a_topic_that_differs_is_reported_and_left_alone(
    stack_settings: Settings, partitions: int, difference: str, others: TopicState
) -> None:
    kafka = stack_settings.kafka
    name = f"{kafka.topic_prefix}ingest"
    admin = AdminClient(kafka.client_config())
    admin.create_topics([NewTopic(name, partitions, 1, config={"retention.ms": "604800000"})])[name].result()
    while name not in admin.list_topics(timeout=10).topics:  # created is not yet known to all
        pass
    for _ in range(2):
        found = {one.topic: one for one in apply_topics(kafka)}[name]
        assert found.state is TopicState.differs
        assert difference in found.differences
    assert {one.state for one in inspect_topics(kafka) if one.topic != name} == {others}


def test_a_topic_that_deletes_too_early_is_found_and_one_that_keeps_longer_is_not(stack_settings: Settings) -> None:
    """Also by the doctor, for topics that somebody else has made."""
    kafka = stack_settings.kafka
    apply_topics(kafka)
    assert wait_until(lambda: {one.state for one in inspect_topics(kafka)} == {TopicState.present}, within_s=30)
    name = f"{kafka.topic_prefix}ingest"
    admin = AdminClient(kafka.client_config())

    def finds(expected: str, **config: str) -> bool:
        """Whether that is what is said once the configs are altered, which a broker knows a moment later."""
        resource = ConfigResource(ResourceType.TOPIC, name)
        for key, value in config.items():
            entry = ConfigEntry(key.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            resource.add_incremental_config(entry)
        admin.incremental_alter_configs([resource])[resource].result()
        return wait_until(lambda: found() == (expected, check_kafka(kafka).problem is None), within_s=30)

    def found() -> tuple[str, bool]:
        [differences] = [one.differences for one in inspect_topics(kafka) if one.topic == name]
        return "; ".join(differences), not differences

    assert finds("retention.ms: 1000, should be 2592000000", retention_ms="1000", max_message_bytes="9000000")
    assert finds("", retention_ms="-1")
    assert finds("retention.bytes: 1000000, should be -1", retention_bytes="1000000")
    assert finds(
        "message.timestamp.type: CreateTime, should be LogAppendTime",
        retention_bytes="-1",
        message_timestamp_type="CreateTime",
    )
    assert finds(
        "max.message.bytes: 1000, should be 4194304", message_timestamp_type="LogAppendTime", max_message_bytes="1000"
    )
    assert finds("cleanup.policy: compact, should be delete", max_message_bytes="4194304", cleanup_policy="compact")


def test_an_event_that_says_it_is_old_is_kept_as_long_as_any(stack_settings: Settings) -> None:
    """Kafka deletes by a record's time, so that has to be the broker's."""
    kafka = stack_settings.kafka
    apply_topics(kafka)
    sent_at_ms = time.time() * 1000
    old_ms = int(sent_at_ms) - 40 * DAY_MS
    for topic in TOPICS:
        if topic.cleanup == "delete":
            assert _time_of_one(kafka, kafka.topic_prefix + topic.name, old_ms) > sent_at_ms - 60_000


def _time_of_one(kafka: KafkaSettings, name: str, time_ms: int) -> int:
    """The time that the broker gives a record which claims `time_ms`."""
    delivered: list[Message] = []
    producer = Producer(kafka.client_config())
    producer.produce(name, b"x", partition=0, timestamp=time_ms, on_delivery=lambda _, sent: delivered.append(sent))
    assert producer.flush(30) == 0
    return delivered[0].timestamp()[1]


def test_no_broker_is_a_clear_failure() -> None:
    with pytest.raises(Failure, match=r"127.0.0.1:1 cannot be used.*NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS") as caught:
        apply_topics(KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    assert caught.value.kind is FailureKind.UNREACHABLE


def test_registering_again_gives_the_same_ids(stack_settings: Settings) -> None:
    ids = register_schemas(stack_settings)
    assert len(ids) > len(TOPICS)
    assert register_schemas(stack_settings) == ids
