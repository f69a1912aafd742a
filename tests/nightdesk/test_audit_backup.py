"""`nightdesk audit backup` and `restore`: after it the sink goes on, and no row is missing, doubled or changed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.commands.sink import sink_settings
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.messaging.settings import plain
from nightdesk.operations.forgetting import forget
from nightdesk.operations.sink_offsets import (
    audit_log,
    audit_topic,
    first_offsets,
    go_on_at,
    sink_places,
    sink_reader,
    topic_id,
    wait_until_stopped,
)
from nightdesk.schemas.records import AuditRecord
from nightdesk.settings import Settings
from nightdesk.sinks.audit.policy import SinkSettings
from nightdesk.sinks.clickhouse.backup_places import Noted, SinkPlace, resumed
from nightdesk.sinks.clickhouse.connection import connect
from nightdesk.sinks.settings import ClickHouseSettings
from tests.nightdesk.command_line import CommandLine
from tests.sinks.records import START, of_case, record
from tests.sinks.test_forgotten import silent
from tests.sinks.test_sink import committed, count, eventually, running, send_records

BEFORE, AFTER = 300, 50
GONE = "ticket-3"


@pytest.fixture
def empty(database: ClickHouseSettings) -> Iterator[ClickHouseSettings]:
    """A database that does not exist yet."""
    name = f"restored_{uuid.uuid4().hex[:12]}"
    found = database.model_copy(update={"url": f"{database.url.rpartition('/')[0]}/{name}"})
    yield found
    with connect(database.client_arguments("migrate")) as client:
        client.command(f"DROP DATABASE IF EXISTS {name}")


def sink_of(settings: Settings) -> SinkSettings:
    """A sink whose place in its group is free soon after it has stopped."""
    of_topic = topic_id(settings.kafka, audit_topic(settings.kafka))
    return replace(sink_settings(settings), session_timeout_s=10, topic_id=lambda _topic: of_topic)


def places(settings: Settings) -> list[SinkPlace]:
    consumer, topic = sink_reader(settings.kafka), audit_topic(settings.kafka)
    try:
        return sink_places(consumer, audit_log(settings.kafka), first_offsets(consumer, topic))
    finally:
        consumer.close()


def written(first: int, number: int, hours: int) -> list[AuditRecord]:
    """Records that each open a case, in that hour."""
    made = [
        record("received", n, subject=f"ticket-{n % 20}", record_id=f"r-{n}", **of_case(f"evt-{n}"))
        for n in range(first, first + number)
    ]
    return [one.model_copy(update={"case_at": START + timedelta(hours=hours)}) for one in made]


def tear(client: Client) -> None:
    """What a backup has that copies one table while others get records: rows that are missing in some of them, and an
    hour that counts as counted whose rows were not.
    """
    for table, where in {
        "audit_records": "record_id = 'r-310'",
        "audit_places": "record_id = 'r-311'",
        "case_states": "event_id = 'evt-312'",
    }.items():
        client.command(f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2")
    client.command("INSERT INTO hour_states SELECT hour, toDateTime64(0, 6, 'UTC'), now64(6) FROM hour_states")


def test_a_restored_database_is_whole_whatever_landed_while_it_was_backed_up(
    topics: Settings,
    database: ClickHouseSettings,
    empty: ClickHouseSettings,
    client: Client,
    nightdesk: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = (topics.model_copy(update={"clickhouse": one}) for one in (database, empty))
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__BACKUP_TO", database.backup_to)
    monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__FORGET_KEY", plain(database.forget_key))
    with registered_codec(old) as codec:
        with running(sink_of(old), codec):
            send_records(old, codec, written(0, BEFORE, 0))
            eventually(lambda: committed(old) == BEFORE)
            at_backup = places(old)
            send_records(old, codec, written(BEFORE, AFTER, 3))
            eventually(lambda: committed(old) == BEFORE + AFTER)
        wait_until_stopped(old.kafka)
        go_on_at(old.kafka, audit_topic(old.kafka), at_backup)
        tear(client)

        made = nightdesk("audit", "backup", "evening", "-o", "json").json()
        assert made["places"] == [{"partition": one.partition, "offset": one.offset} for one in at_backup]
        assert made["size_bytes"] > 0
        assert "already" in nightdesk("audit", "backup", "evening").err
        forgotten = forget(old, GONE, "she asked for it", silent).rows["audit_records"]

        monkeypatch.setenv("NIGHTDESK_CLICKHOUSE__URL", empty.url)
        restore = ("audit", "restore", "--from-database", database.database)
        assert "not found" in nightdesk(*restore, "morning").err
        result = nightdesk(*restore, "evening")
        assert (result.code, result.err) == (0, "")
        assert "1 subjects were forgotten" in result.out
        assert "has tables" in nightdesk(*restore, "evening").err

        with connect(empty.client_arguments("migrate")) as restored:
            assert count(restored) == BEFORE - BEFORE // 20
            with running(sink_of(new), codec):
                eventually(lambda: committed(new) == BEFORE + AFTER + 1)
            assert count(restored) == BEFORE + AFTER + 1 - forgotten
            assert count(restored, "(SELECT DISTINCT record_id FROM records)") == count(restored)
            assert count(restored, "cases") == BEFORE + AFTER - forgotten
            assert count(restored, f"audit_records WHERE subject = '{GONE}'") == 0
            assert restored.query("SELECT sum(cases) FROM hourly").result_rows == [(BEFORE + AFTER - forgotten,)]
        verified = nightdesk("audit", "verify", "-o", "json")
        assert (verified.code, verified.json()["findings"]) == (0, [])


def test_the_sink_goes_on_where_the_backup_began_and_reads_another_topic_whole() -> None:
    found = Noted(START, "first", (SinkPlace(0, 40, "chain"), SinkPlace(1, 7)))
    starts = [(0, 50), (1, 0), (2, 3)]
    assert resumed(found, "first", starts) == [SinkPlace(0, 40, "chain"), SinkPlace(1, 7), SinkPlace(2, 3)]
    assert resumed(found, "second", starts) == [SinkPlace(0, 50), SinkPlace(1, 0), SinkPlace(2, 3)]
