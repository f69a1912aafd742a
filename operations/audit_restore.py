"""Restores a backup of the audit database, and makes the sink continue at the offsets where the backup began.

No rows are restored before three checks have passed: the sink is stopped, the database has no tables, and this version
knows all migrations of the backup. Afterwards the database has exactly what the sink had written up to the noted
offsets. The sink reads what came later from the topic again, so no row is missing and none is there twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.broker_answers import broker_answers
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.audit_backup import backup_of, told
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.migrations import migrate_database
from nightdesk.operations.progress import Begin
from nightdesk.operations.sink_offsets import (
    audit_topic,
    first_offsets,
    go_on_at,
    sink_reader,
    topic_id,
    wait_until_stopped,
)
from nightdesk.operations.tombstones import forgotten_subjects, read_tombstones
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import ForgottenSubject
from nightdesk.schemas.topics import FORGOTTEN
from nightdesk.sinks.clickhouse.backup_places import (
    Noted,
    SinkPlace,
    delete_behind,
    noted,
    resumed,
    subjects_with_times,
)
from nightdesk.sinks.clickhouse.backups import MIGRATIONS_OF_BACKUP, Backup, follow, renew_parts, tables_of
from nightdesk.sinks.clickhouse.forgetting import delete, places_of
from nightdesk.sinks.clickhouse.migrate import MigrationChanged, create_database, unknown_migrations
from nightdesk.sinks.settings import ClickHouseSettings

# A mutation rewrites parts, which may be large.
ANSWER_WITHIN_S = 3600


@dataclass(frozen=True, slots=True)
class RestoredBackup:
    """The result of a restore. The sink continues at `places`. `lost` counts, by partition, the records that the topic
    has deleted before the sink could read them again; `migrated` names what `migrate` changed; `forgotten_again` counts
    the subjects that were forgotten after the backup was made, and whose rows were therefore deleted again.
    """

    name: str
    size_bytes: int
    places: tuple[SinkPlace, ...]
    lost: dict[int, int]
    migrated: tuple[str, ...]
    forgotten_again: int


def restore(installation: Installation, name: str, begin: Begin, database: str = "") -> RestoredBackup:
    """Restore a backup into the empty database of the settings. `database` is the one that was backed up, if it had
    another name. Raises `Failure`.
    """
    settings, kafka, topic = installation.clickhouse, installation.kafka, audit_topic(installation.kafka)
    backup = backup_of(settings, name, database)
    wait_until_stopped(kafka)
    with registered_codec(installation, ForgottenSubject) as codec:
        tombstones = read_tombstones(installation, codec)
        forgotten_subjects(installation, tombstones)
        found, size = _restored(settings, backup, topic, begin)
        migrated = migrate_database(settings)
        with clickhouse(settings, "migrate", answer_within_s=ANSWER_WITHIN_S) as client:
            delete_behind(client, topic, found)
            again = _forget_again(installation, client, codec, tombstones)
    places, lost = _go_on(installation, topic, found)
    return RestoredBackup(name, size, tuple(places), lost, tuple(migrated), again)


def _restored(settings: ClickHouseSettings, backup: Backup, topic: str, begin: Begin) -> tuple[Noted, int]:
    with clickhouse(settings, "migrate", bound=False) as client, told():
        create_database(client, settings.database, settings.topology)
        if there := [one for one in tables_of(client, settings.database) if one != MIGRATIONS_OF_BACKUP]:
            raise Failure(
                f"the database {settings.database} has tables: {', '.join(there[:3])}",
                "Drop it; or name an empty one in NIGHTDESK_CLICKHOUSE__URL, and the backup's with --from-database",
                FailureKind.NOT_READY,
            )
        _check_migrations(client, backup, settings.database)
        size = follow(client, backup.begin_restore(client, settings.database), lambda total: begin("bytes", total))
        renew_parts(client, settings.database)
    with clickhouse(settings, "migrate") as client:
        found = noted(client, backup.name, topic)
    if found is None:
        raise Failure(
            f"the backup does not say where the sink was on {topic}, so the sink cannot go on after it",
            "Restore one that `nightdesk audit backup` made, with the same NIGHTDESK_KAFKA__TOPIC_PREFIX",
        )
    return found, size


def _check_migrations(client: Client, backup: Backup, target: str) -> None:
    """Raises `Failure` if a later version made the backup, so that this version does not know all of its migrations."""
    copy = backup.restore_migrations(client, target)
    try:
        newer = unknown_migrations(client, copy)
    except MigrationChanged as error:
        raise Failure(str(error)) from error
    finally:
        backup.drop_migrations(client, target)
    if newer:
        raise Failure(
            f"the backup was made by a newer version: this one does not know {', '.join(newer)}",
            "Restore it with the version that made it, or a later one",
        )


def _forget_again(installation: Installation, client: Client, codec: Codec, tombstones: list[ForgottenSubject]) -> int:
    """Delete the rows of the subjects that were forgotten after the backup was made, and note the rows' places."""
    if not tombstones:
        return 0
    subjects = forgotten_subjects(installation, tombstones)
    by_digest = {one.digest: one for one in tombstones}
    found = [
        (subject, by_digest[digest])
        for subject, opened_at in subjects_with_times(client)
        if (digest := subjects.digest_covering(subject, opened_at)) is not None
    ]
    for subject, tombstone in found:
        for _ in delete(client, subject, tombstone.digest, tombstone.time):
            pass
    noted_places = places_of(client)
    again = [
        one.model_copy(update={"places": number, "places_sha256": sha256})
        for _, one in found
        for number, sha256 in [noted_places[one.digest]]
    ]
    produce(installation.kafka, FORGOTTEN, [(one.digest, codec.encode(one)) for one in again])
    return len(again)


def _go_on(installation: Installation, topic: str, found: Noted) -> tuple[list[SinkPlace], dict[int, int]]:
    consumer = sink_reader(installation.kafka)
    try:
        with broker_answers(installation.kafka):
            starts = first_offsets(consumer, topic)
    finally:
        consumer.close()
    places = resumed(found, topic_id(installation.kafka, topic), starts)
    go_on_at(installation.kafka, topic, places)
    firsts = dict(starts)
    gone = {one.partition: firsts[one.partition] - one.offset for one in places}
    return places, {partition: records for partition, records in gone.items() if records > 0}
