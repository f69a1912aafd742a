"""Creates the missing topics of an installation, and reports those that differ.

It never deletes or changes a topic. If a topic differs from the table, an operator either wanted that or has to act:
the number of partitions cannot change without moving every key.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types forget what it exports
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from nightdesk.messaging.clients import QUIET, new_admin
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.schemas.topics import TOPICS, Topic
from nightdesk.streams.catalog import changelog_topics

ANSWER_TIMEOUT_S = 10.0
CREATE_TIMEOUT_S = 30.0
KNOWN_POLL_S = 0.05
# A decision nests its case, which nests its event; a dead letter is the original record with our headers.
LARGEST_RECORD_BYTES = 4 * 1024 * 1024
LARGEST_DEAD_LETTER_BYTES = 5 * 1024 * 1024
PARTITIONS = "partitions: "
OFFSETS_RETENTION = "offsets.retention.minutes"
MINUTES_A_DAY = 24 * 60

# Configs for which a larger value is accepted.
LIMITS = frozenset({"retention.ms", "retention.bytes", "max.message.bytes"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as it should be on the broker. `config` has the settings that must not depend on the broker's
    defaults.
    """

    name: str
    partitions: int
    config: dict[str, str]


class TopicState(StrEnum):
    """How a topic on the broker compares with the table."""

    missing = "missing"
    created = "created"
    present = "present"
    differs = "differs"


@dataclass(frozen=True, slots=True)
class ComparedTopic:
    """One topic of the table and its state on the broker."""

    topic: str
    state: TopicState
    differences: tuple[str, ...] = ()

    @property
    def has_other_partitions(self) -> bool:
        """Whether the number of partitions differs, so that its keys are in other partitions."""
        return any(difference.startswith(PARTITIONS) for difference in self.differences)


def apply_topics(kafka: KafkaSettings) -> list[ComparedTopic]:
    """Create missing topics. If any topic has another number of partitions than the settings, nothing is created,
    because keys would be in other partitions than the workers expect.

    Raises `Failure` if the broker does not answer or refuses.
    """
    with _admin(kafka) as admin:
        found = _inspect(admin, kafka)
        if any(one.has_other_partitions for one in found):
            return found
        missing = {one.topic for one in found if one.state is TopicState.missing}
        _create(admin, [topic for topic in wanted_topics(kafka) if topic.name in missing], kafka.replication_factor)
    return [replace(one, state=TopicState.created) if one.state is TopicState.missing else one for one in found]


def check_partitions(kafka: KafkaSettings, found: Sequence[ComparedTopic]) -> None:
    """Raises `Failure` if topics have another number of partitions than the settings."""
    wrong = [one.topic for one in found if one.has_other_partitions]
    if wrong:
        raise Failure(
            f"{len(wrong)} topics lack {kafka.partitions} partitions, and nothing was created: {', '.join(wrong)}",
            "Set NIGHTDESK_KAFKA__PARTITIONS to the number that they have, for every worker and command. Adding"
            " partitions moves keys away from their state: to have more, start again under another"
            " NIGHTDESK_KAFKA__TOPIC_PREFIX",
        )


def check_differences(found: Sequence[ComparedTopic]) -> None:
    """Raises `Failure` if topics differ from the table."""
    different = [one.topic for one in found if one.differences]
    if different:
        raise Failure(f"{len(different)} topics differ: {', '.join(different)}", "Alter or recreate them by hand")


def inspect_topics(kafka: KafkaSettings) -> list[ComparedTopic]:
    """Compare the broker's topics with the table. Changes nothing. Raises `Failure` like `apply_topics`."""
    with _admin(kafka) as admin:
        return _inspect(admin, kafka)


def offsets_kept_days(kafka: KafkaSettings) -> float:
    """For how many days the brokers keep the offsets of a consumer group without members. Raises `Failure`, also if
    the login may not read the brokers' configuration.
    """
    with _admin(kafka) as admin:
        broker = str(next(iter(admin.list_topics(timeout=ANSWER_TIMEOUT_S).brokers)))
        asked = admin.describe_configs([ConfigResource(ResourceType.BROKER, broker)], request_timeout=ANSWER_TIMEOUT_S)
        [told] = [future.result() for future in asked.values()]
        return int(told[OFFSETS_RETENTION].value) / MINUTES_A_DAY


@contextmanager
def _admin(kafka: KafkaSettings) -> Iterator[AdminClient]:
    admin = new_admin({**kafka.client_config(), **QUIET})
    try:
        yield admin
    except KafkaException as error:
        raise Failure(
            f"Kafka at {kafka.bootstrap_servers} cannot be used: {error.args[0].str()}",
            "Start it, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS and the SASL settings",
            FailureKind.UNREACHABLE,
        ) from error


def _inspect(admin: AdminClient, kafka: KafkaSettings) -> list[ComparedTopic]:
    existing = admin.list_topics(timeout=ANSWER_TIMEOUT_S).topics
    wanted = sorted(wanted_topics(kafka), key=lambda topic: topic.name)
    configs = _configs(admin, [topic for topic in wanted if topic.name in existing])
    found = []
    for topic in wanted:
        if topic.name not in existing:
            found.append(ComparedTopic(topic.name, TopicState.missing))
            continue
        differences = _differences(topic, len(existing[topic.name].partitions), configs[topic.name])
        found.append(ComparedTopic(topic.name, TopicState.differs if differences else TopicState.present, differences))
    return found


def wanted_topics(kafka: KafkaSettings) -> list[Wanted]:
    """Every topic of the table, its dead letters, and the changelogs of the stages' tables."""
    wanted = []
    for topic in TOPICS:
        wanted.append(Wanted(kafka.topic_prefix + topic.name, kafka.partitions, _config(topic)))
        if topic.dead_letters:
            largest = {"max.message.bytes": str(LARGEST_DEAD_LETTER_BYTES)}
            wanted.append(Wanted(kafka.topic_prefix + topic.dlq, kafka.partitions, _config(topic) | largest))
    compacted = {"cleanup.policy": "compact", "max.message.bytes": str(LARGEST_RECORD_BYTES)}
    changelogs = [Wanted(name, kafka.partitions, compacted) for name in changelog_topics(kafka.topic_prefix)]
    return wanted + changelogs


def _config(topic: Topic) -> dict[str, str]:
    return {
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(topic.retention_ms),
        "retention.bytes": "-1",
        # Kafka deletes by a record's time. That has to be the time of its arrival, because a record with an old time of
        # its producer would be deleted before anybody reads it.
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(LARGEST_RECORD_BYTES),
        **dict(topic.config),
    }


def _create(admin: AdminClient, missing: list[Wanted], replication_factor: int) -> None:
    if not missing:
        return
    durability = {"min.insync.replicas": "2"} if replication_factor > 2 else {}
    new = [NewTopic(one.name, one.partitions, replication_factor, config=one.config | durability) for one in missing]
    for future in admin.create_topics(new, operation_timeout=CREATE_TIMEOUT_S).values():
        try:
            future.result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another `topics apply` was faster
                raise
    _wait_until_known(admin, missing)


def _wait_until_known(admin: AdminClient, created: Sequence[Wanted]) -> None:
    """Wait until the brokers know the new topics. Until then a broker would tell a producer that there is no such
    topic.
    """
    deadline = time.monotonic() + CREATE_TIMEOUT_S
    while not _are_known(admin, created):
        if time.monotonic() > deadline:
            raise Failure(
                f"topics were created, and after {CREATE_TIMEOUT_S:.0f} s Kafka does not list each with a leader",
                "See what the brokers log about them, then run `nightdesk topics apply` again",
                FailureKind.UNREACHABLE,
            )
        time.sleep(KNOWN_POLL_S)


def _are_known(admin: AdminClient, created: Sequence[Wanted]) -> bool:
    listed = admin.list_topics(timeout=ANSWER_TIMEOUT_S).topics
    return all(
        one.name in listed and all(partition.leader >= 0 for partition in listed[one.name].partitions.values())
        for one in created
    )


def _configs(admin: AdminClient, topics: list[Wanted]) -> dict[str, dict[str, Any]]:
    if not topics:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    futures = admin.describe_configs(resources, request_timeout=ANSWER_TIMEOUT_S)
    return {resource.name: future.result() for resource, future in futures.items()}


def _is_enough(name: str, there: str, wanted: str) -> bool:
    """Whether the value is accepted: a limit may be higher (-1 is unlimited), and everything else must be equal."""
    if name not in LIMITS or not there.lstrip("-").isdigit():
        return there == wanted
    return int(there) == -1 or -1 < int(wanted) <= int(there)


def _differences(topic: Wanted, partitions: int, config: dict[str, Any]) -> tuple[str, ...]:
    found = []
    if partitions != topic.partitions:
        found.append(f"{PARTITIONS}{partitions}, should be {topic.partitions}")
    for name, value in topic.config.items():
        if not _is_enough(name, config[name].value, value):
            found.append(f"{name}: {config[name].value}, should be {value}")
    return tuple(found)
