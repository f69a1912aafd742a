"""Makes a backup of the audit database while the sink continues to write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from nightdesk.messaging.broker_answers import broker_answers
from nightdesk.messaging.failures import Failure, NotConfigured
from nightdesk.messaging.log_identity import Log
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.progress import Begin
from nightdesk.operations.sink_offsets import audit_topic, first_offsets, sink_places, sink_reader, topic_id
from nightdesk.sinks.clickhouse.backup_places import SinkPlace, note
from nightdesk.sinks.clickhouse.backups import Backup, BackupFailed, follow, stored_bytes
from nightdesk.sinks.settings import ClickHouseSettings

NAME = "audit-%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class MadeBackup:
    """A finished backup. `places` are the offsets of the sink when the backup began: after a restore the sink continues
    there.
    """

    name: str
    size_bytes: int
    places: tuple[SinkPlace, ...]


def back_up(installation: Installation, begin: Begin, name: str = "", base: str = "") -> MadeBackup:
    """Back the database up under a name, by default one made from the current time. With a `base`, the backup has only
    what that backup lacks.

    Raises `Failure`.
    """
    settings = installation.clickhouse
    backup = backup_of(settings, name or datetime.now(UTC).strftime(NAME), base=base)
    topic = audit_topic(installation.kafka)
    places = _sink_places(installation.kafka, topic)
    with clickhouse(settings, "migrate") as client, told():
        note(client, backup.name, topic, topic_id(installation.kafka, topic), places)
        expected = stored_bytes(client, backup.database)
        size = follow(client, backup.begin(client), lambda total: begin("bytes", total), expected)
    return MadeBackup(backup.name, size, tuple(places))


def backup_of(settings: ClickHouseSettings, name: str, database: str = "", base: str = "") -> Backup:
    """The backup of that name, in the place that the settings name for backups. Raises `NotConfigured`."""
    if not settings.backup_to:
        raise NotConfigured("place for backups", "NIGHTDESK_CLICKHOUSE__BACKUP_TO")
    return Backup(database or settings.database, settings.backup_destination, name, base, settings.topology)


@contextmanager
def told() -> Iterator[None]:
    """Turns a `BackupFailed` of the block into a `Failure`."""
    try:
        yield
    except BackupFailed as error:
        raise Failure(f"ClickHouse gave up: {error}", "docs/how-to/backup.md says what a backup needs") from error


def _sink_places(kafka: KafkaSettings, topic: str) -> list[SinkPlace]:
    consumer = sink_reader(kafka)
    try:
        with broker_answers(kafka):
            return sink_places(consumer, Log(topic, topic_id(kafka, topic)), first_offsets(consumer, topic))
    finally:
        consumer.close()
