"""`nightdesk topics apply`: run once per installation and version, before any worker starts.

Creates what is missing, never deletes or changes: where a topic differs from the table, an operator had a reason
or must act (partitions cannot be changed without moving every key), so it is reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any

import typer
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types forget what it exports
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.settings import KafkaSettings, load_settings
from schemas.topics import TOPICS, Topic
from streams.catalog import changelog_topics

ANSWER_TIMEOUT_S = 10.0
CREATE_TIMEOUT_S = 30.0
# A decision nests its case, which nests its event; a dead letter is the record as it came, and our headers.
LARGEST_RECORD_BYTES = 4 * 1024 * 1024
LARGEST_DEAD_LETTER_BYTES = 5 * 1024 * 1024

app = typer.Typer(help="Create the topics that are missing.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A topic as it should be on the broker. `config` holds only what differs from the broker's default."""

    name: str
    partitions: int
    config: dict[str, str]


class State(StrEnum):
    """How a topic on the broker compares with the table."""

    missing = "missing"
    created = "created"
    present = "present"
    differs = "differs"


@dataclass(frozen=True, slots=True)
class Found:
    """One topic of the table and its state on the broker."""

    topic: str
    state: State
    differences: tuple[str, ...] = ()


@app.callback()
def root() -> None:
    """Create the topics that are missing."""


@app.command()
def apply(
    output: OutputOption = Output.text,
    strict: Annotated[bool, typer.Option(help="Fail when a topic is not as it should be")] = False,
) -> None:
    """Create every topic that is missing and report those that differ. Safe to run again."""
    applied = apply_topics(load_settings().kafka)
    rows = [
        {"topic": one.topic, "state": one.state.value, "differences": "; ".join(one.differences)} for one in applied
    ]
    print_rows(rows, output)
    different = [one.topic for one in applied if one.differences]
    if strict and different:
        raise Failure(f"{len(different)} topics differ: {', '.join(different)}", "Alter or recreate them by hand")


def apply_topics(kafka: KafkaSettings) -> list[Found]:
    """Create what is missing. Raises `Failure` when the broker cannot be reached or refuses."""
    with _admin(kafka) as admin:
        found = _inspect(admin, kafka)
        missing = {one.topic for one in found if one.state is State.missing}
        _create(admin, [topic for topic in wanted_topics(kafka) if topic.name in missing], kafka.replication_factor)
    return [replace(one, state=State.created) if one.state is State.missing else one for one in found]


def inspect_topics(kafka: KafkaSettings) -> list[Found]:
    """How the broker's topics compare with the table; changes nothing. Raises `Failure` as `apply_topics` does."""
    with _admin(kafka) as admin:
        return _inspect(admin, kafka)


@contextmanager
def _admin(kafka: KafkaSettings) -> Iterator[AdminClient]:
    admin = AdminClient(kafka.client_config() | {"log_level": 0})
    try:
        yield admin
    except KafkaException as error:
        raise Failure(
            f"Kafka at {kafka.bootstrap_servers} cannot be used: {error.args[0].str()}",
            "Start it, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS and the SASL settings",
            ExitCode.UNREACHABLE,
        ) from error


def _inspect(admin: AdminClient, kafka: KafkaSettings) -> list[Found]:
    existing = admin.list_topics(timeout=ANSWER_TIMEOUT_S).topics
    wanted = sorted(wanted_topics(kafka), key=lambda topic: topic.name)
    configs = _configs(admin, [topic for topic in wanted if topic.name in existing])
    found = []
    for topic in wanted:
        if topic.name not in existing:
            found.append(Found(topic.name, State.missing))
            continue
        differences = _differences(topic, len(existing[topic.name].partitions), configs[topic.name])
        found.append(Found(topic.name, State.differs if differences else State.present, differences))
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
        "max.message.bytes": str(LARGEST_RECORD_BYTES),
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


def _configs(admin: AdminClient, topics: list[Wanted]) -> dict[str, dict[str, Any]]:
    if not topics:
        return {}
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    futures = admin.describe_configs(resources, request_timeout=ANSWER_TIMEOUT_S)
    return {resource.name: future.result() for resource, future in futures.items()}


def _differences(topic: Wanted, partitions: int, config: dict[str, Any]) -> tuple[str, ...]:
    found = []
    if partitions != topic.partitions:
        found.append(f"partitions: {partitions}, should be {topic.partitions}")
    for name, value in topic.config.items():
        if config[name].value != value:
            found.append(f"{name}: {config[name].value}, should be {value}")
    return tuple(found)
