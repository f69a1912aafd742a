"""`nightdesk forget`: what it deletes, and that nothing of it comes back when the topic is read again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.commands.sink import sink_settings
from nightdesk.messaging.failures import Failure, NotConfigured
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.audit_verification import verify_audit
from nightdesk.operations.forgetting import forget, known_rows
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.topics import apply_topics
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import AuditRecord, ForgottenSubject
from nightdesk.settings import Settings
from nightdesk.sinks.audit.forgotten import ForgottenSubjects, KeyNotFit, digest_of, key_check
from nightdesk.sinks.clickhouse.forgetting import TABLES
from nightdesk.sinks.queries import story
from nightdesk.sinks.settings import ClickHouseSettings
from tests.sinks.records import START, acted, at, dead_letter, decided, of_case, outcome, question, record
from tests.sinks.test_sink import count, eventually, running, send_records

GONE, KEPT = "ann@example.com", "ticket-2"
KEY = "a key of enough length"
COLUMNS = "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND type LIKE '%String%'"


@pytest.fixture
def settings(stack_settings: Settings, database: ClickHouseSettings) -> Settings:
    found = stack_settings.model_copy(update={"clickhouse": database})
    apply_topics(found.kafka)
    register_schemas(found)
    return found


@pytest.fixture
def codec(settings: Settings) -> Iterator[Codec]:
    with registered_codec(settings) as found:
        yield found


def records_of(subject: str, event_id: str) -> list[AuditRecord]:
    case = of_case(event_id)
    reminder = {"due_at": at(100).isoformat(), "timer_id": f"timer-{event_id}", "type": "ticket.followup"}
    steps = [outcome(0), outcome(1, handler="remind", result=json.dumps(reminder), attempts=0)]
    made = [
        record("received", 0, {"data": '{"mail":"' + subject + '"}', "time": at(0).isoformat()}, **case),
        decided(1, event_id=event_id),
        acted(2, "completed", outcomes=steps, event_id=event_id),
        dead_letter(3, **case, detail={"dead_letter_id": f"dl-{event_id}"}),
        record("asked", 0.5, question(), provider="anthropic", **case),
    ]
    return [one.model_copy(update={"subject": subject}) for one in made]


def in_no_table(client: Client, subject: str) -> list[str]:
    """Tables and columns that have the subject."""
    places = client.query(COLUMNS).result_rows
    return [
        f"{table}.{name}"
        for table, name in places
        if not table.endswith("_feed")
        and client.query(
            f"SELECT count() FROM `{table}` WHERE position(toString(`{name}`), %(s)s) > 0", {"s": subject}
        ).result_rows[0][0]
    ]


def stored_tables(client: Client) -> list[str]:
    """Every table that records lead to: without their rows the database is as a new one."""
    engines = "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    return [name for (name,) in client.query(f"{engines} AND name != 'migrations'").result_rows]


def keyless(settings: Settings) -> Settings:
    return settings.model_copy(update={"clickhouse": settings.clickhouse.model_copy(update={"forget_key": None})})


def silent(_what: str, _total: int) -> Callable[[int], None]:
    return lambda _done: None


def test_nothing_of_a_forgotten_subject_comes_back(settings: Settings, codec: Codec, client: Client) -> None:
    gone, kept = records_of(GONE, "evt-1"), records_of(KEPT, "evt-2")
    send_records(settings, codec, [*gone, *kept])
    with running(sink_settings(settings), codec):
        eventually(lambda: count(client) == 10)
        found = known_rows(settings, GONE)
        assert all(found[table] for table in TABLES), found
        done = forget(settings, GONE, "she asked for it", silent)
        assert done.rows["audit_records"] == 5
        # Of the same case, and read after the tombstone: an agent was still at work.
        send_records(settings, codec, [gone[1].model_copy(update={"record_id": "late", "time": at(9)})])
        eventually(lambda: count(client) == 6)
    assert in_no_table(client, GONE) == []
    verified = verify_audit(settings, silent)
    assert verified.findings == ()  # it was not removed by just anybody
    # Of what the sink left out neither side has anything.
    assert [one.topic for one in verified.partitions] == [one.clickhouse for one in verified.partitions]
    assert sum(one.topic.records for one in verified.partitions) == 11
    with pytest.raises(Failure, match="FORGET_KEY"):
        verify_audit(keyless(settings), silent)
    assert story(client, GONE) is None
    assert story(client, str(gone[0].case_id)) is None
    assert len(client.query("SELECT * FROM cases").result_rows) == 1
    ((reason, detail),) = client.query("SELECT reason, detail FROM records WHERE kind = 'forgotten'").result_rows
    assert reason == "she asked for it"
    assert digest_of(GONE, settings.clickhouse.forget_key.get_secret_value()) in detail  # type: ignore[union-attr]
    # The roll-ups have the hour without her, whether it is counted or not.
    assert client.query("SELECT sum(cases) FROM hourly").result_rows == [(1,)]

    for table in stored_tables(client):
        client.command(f"TRUNCATE TABLE {table}")
    again = replace(sink_settings(settings), group_id=f"{sink_settings(settings).group_id}-again")
    with running(again, codec):
        eventually(lambda: count(client) == 6)
    assert in_no_table(client, GONE) == []

    later = [one.model_copy(update={"case_at": None, "time": done_at}) for one in kept[:1] for done_at in [at(10**9)]]
    send_records(settings, codec, [later[0].model_copy(update={"subject": GONE, "record_id": "new", "case_id": None})])
    with running(again, codec):
        eventually(lambda: count(client) == 7)


def test_without_a_key_nothing_is_forgotten(settings: Settings) -> None:
    with pytest.raises(NotConfigured, match="FORGET_KEY"):
        known_rows(keyless(settings), GONE)


def test_a_sink_with_another_key_stores_nothing() -> None:
    tombstone = ForgottenSubject(digest=digest_of(GONE, KEY), key_check=key_check(KEY), time=START, issued_by="ann")
    for key in ("", "another key of that length"):
        with pytest.raises(KeyNotFit, match="FORGET_KEY"):
            ForgottenSubjects(key).add(tombstone)


def test_what_came_before_is_covered_and_nothing_else() -> None:
    subjects = ForgottenSubjects(KEY)
    for time in (START + timedelta(hours=1), START):
        digest = digest_of(GONE, KEY)
        subjects.add(ForgottenSubject(digest=digest, key_check=key_check(KEY), time=time, issued_by="ann"))
    hers = record("received", 0, subject=GONE)
    opened_before = hers.model_copy(update={"time": at(9999), "case_at": at(3599)})
    opened_after = hers.model_copy(update={"time": at(9999), "case_at": at(3601)})
    covered = [subjects.cover(one) for one in (hers, opened_before, opened_after, record("received", 0))]
    assert covered == [True, True, False, False]
