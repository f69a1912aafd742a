"""Deletes what the audit store has of a subject, and keeps it from coming back.

First comes a tombstone on the topic `forgotten`, which the sink reads before it stores a record; then the rows are
deleted, twice, because an insert may have begun before the tombstone was there. Then the tombstone comes again and says
which places the rows had, so `audit verify` can tell them from rows that somebody else removed. Last comes the audit
record, which does not name the subject.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.failures import Failure, NotConfigured
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.settings import plain
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.persons import claimed_name, of_a_person
from nightdesk.operations.progress import Begin
from nightdesk.schemas.audit_records import forgotten
from nightdesk.schemas.records import AuditRecord, ForgottenSubject
from nightdesk.schemas.topics import AUDIT, DAY_MS, FORGOTTEN, TOPICS
from nightdesk.sinks.audit.forgotten import digest_of, key_check
from nightdesk.sinks.clickhouse.forgetting import TABLES, Places, delete, places_of, rows_of

# An insert that began before the tombstone has ended then, as a rule; if not, the rows are found and the command fails.
SETTLE_S = 3.0
# A mutation rewrites parts, which may be large.
DELETED_WITHIN_S = 3600
PASSES = 2


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was deleted, and where else the subject may still be found."""

    digest: str
    rows: dict[str, int]
    remains: list[str]


def known_rows(installation: Installation, subject: str) -> dict[str, int]:
    """Table -> how many rows of the subject would be deleted. Raises `Failure`."""
    _key(installation)
    with clickhouse(installation.clickhouse, "migrate") as client:
        return rows_of(client, subject)


def forget(installation: Installation, subject: str, reason: str, begin: Begin, person: str = "") -> Forgotten:
    """Delete the subject's rows and store no record of its past again. Without a `person` it is whoever is logged in.

    Raises `Failure`; it can be repeated.
    """
    key = _key(installation)
    tombstone = ForgottenSubject(
        digest=digest_of(subject, key),
        key_check=key_check(key),
        time=datetime.now(UTC),
        issued_by=of_a_person(person) if person else claimed_name(),
        reason=reason,
    )
    with registered_codec(installation, ForgottenSubject, AuditRecord) as codec:
        produce(installation.kafka, FORGOTTEN, [(tombstone.digest, codec.encode(tombstone))])
        rows, places = _delete(installation, subject, tombstone, begin)
        done = tombstone.model_copy(update={"places": places.number, "places_sha256": places.sha256})
        produce(installation.kafka, FORGOTTEN, [(done.digest, codec.encode(done))])
        record = forgotten(tombstone, sum(rows.values()))
        produce(installation.kafka, AUDIT, [(record.subject, codec.encode(record))])
    return Forgotten(tombstone.digest, rows, _remains(installation.kafka.topic_prefix))


def _delete(
    installation: Installation, subject: str, tombstone: ForgottenSubject, begin: Begin
) -> tuple[dict[str, int], Places]:
    advance = begin("tables", PASSES * len(TABLES))
    with clickhouse(installation.clickhouse, "migrate", answer_within_s=DELETED_WITHIN_S) as client:
        rows = rows_of(client, subject)
        for number in range(PASSES):
            if number:
                time.sleep(SETTLE_S)
                late = rows_of(client, subject)
                rows = {table: rows[table] + late[table] for table in TABLES}
            for _ in delete(client, subject, tombstone.digest, tombstone.time):
                advance(1)
        places = places_of(client).get(tombstone.digest, Places())
        left = {table: count for table, count in rows_of(client, subject).items() if count}
    if left:
        raise Failure(
            f"rows of the subject were inserted while its rows were deleted: {left}",
            "Run it again: the tombstone is in place",
        )
    return rows, places


def _key(installation: Installation) -> str:
    key = plain(installation.clickhouse.forget_key)
    if not key:
        raise NotConfigured("key of forgotten subjects", "NIGHTDESK_CLICKHOUSE__FORGET_KEY")
    return key


def _remains(prefix: str) -> list[str]:
    """Where else the subject was written, and when it is deleted there."""
    days = {
        f"{prefix}{topic.name}": topic.retention_ms // DAY_MS
        for topic in TOPICS
        if topic.key == "subject" and topic.cleanup == "delete"
    }
    topics = [f"topic {name}, and its dead letters: up to {count} days" for name, count in days.items()]
    return [
        *topics,
        "tables of the stages and their changelogs: until the entries of its cases expire",
        "text of records about others that name it: until their retention",
        "backups of ClickHouse and of Kafka, and ClickHouse's own logs of statements: until you delete them",
    ]
