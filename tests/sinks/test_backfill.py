"""The migration that fills the facts reads what older versions stored, in slices, and may be begun again."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from nightdesk.sinks.clickhouse import migrate as runner
from nightdesk.sinks.clickhouse import retention
from nightdesk.sinks.clickhouse.migrate import migrate, migrations
from tests.sinks.records import land, of_case, record
from tests.sinks.test_facts import answers, night

(FACTS,) = [one for one in migrations() if one.name == "0003_facts"]
(FOLLOW_UPS,) = [one for one in migrations() if one.name == "0010_follow_ups"]
(LINES,) = [one for one in migrations() if one.name == "0015_case_lines"]
SLICES = 5
BACKFILL = re.compile(r"INSERT INTO audit_feed\b")


@pytest.fixture(autouse=True)
def few_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices as a large table has them."""
    monkeypatch.setattr(runner, "ROWS_OF_A_SLICE", 1)
    monkeypatch.setattr(runner, "SLICES_AT_MOST", SLICES)


def forget_facts(client: Client) -> None:
    """As if only the first two migrations had been applied, with tables that were created and not filled."""
    for table in retention.NAMES - {"audit_records", "audit_places"}:
        client.command(f"TRUNCATE TABLE {table}")
    forget_that_it_was_applied(client)


def forget_that_it_was_applied(client: Client) -> None:
    client.command(f"ALTER TABLE migrations DELETE WHERE version = {FACTS.version} SETTINGS mutations_sync = 1")


def test_it_fills_what_the_views_would_have_filled_and_a_repetition_changes_nothing(client: Client) -> None:
    records = night(1)
    land(client, *records)
    expected = answers(client)
    client.command("TRUNCATE TABLE audit_records")
    land(client, *(one.model_copy(update={"case_at": None}) for one in records), partition=1)
    for forget in (forget_facts, forget_that_it_was_applied):
        forget(client)
        assert migrate(client) == [FACTS.name]
        assert answers(client) == expected


def test_what_broke_off_in_a_slice_is_filled_when_it_is_begun_again(client: Client) -> None:
    records = night(2)
    land(client, *records)
    expected = answers(client)
    forget_facts(client)
    client.command("ALTER TABLE case_states ADD CONSTRAINT bearable CHECK subject != 'ticket-3'")
    with pytest.raises(DatabaseError, match="bearable"):
        migrate(client)
    client.command("ALTER TABLE case_states DROP CONSTRAINT bearable")
    assert migrate(client) == [FACTS.name]
    assert answers(client) == expected


def test_follow_ups_and_ends_of_steps_that_were_stored_before_are_found(client: Client) -> None:
    land(client, *night(3))
    expected = answers(client)["follow_ups"]
    assert [one["ended_by"] for one in expected] == ["", "undone", "cancelled"]
    client.command("TRUNCATE TABLE follow_up_facts")
    client.command(f"ALTER TABLE migrations DELETE WHERE version = {FOLLOW_UPS.version} SETTINGS mutations_sync = 1")
    assert migrate(client) == [FOLLOW_UPS.name]
    assert answers(client)["follow_ups"] == expected


def test_lines_that_were_stored_before_are_found(client: Client) -> None:
    records = night(4)
    land(client, *records)
    expected = answers(client)["case_lines FINAL"]
    client.command("TRUNCATE TABLE audit_records")
    land(client, *(one.model_copy(update={"case_at": None}) for one in records), partition=1)
    client.command("TRUNCATE TABLE case_lines")
    client.command(f"ALTER TABLE migrations DELETE WHERE version = {LINES.version} SETTINGS mutations_sync = 1")
    assert migrate(client) == [LINES.name]
    assert answers(client)["case_lines FINAL"] == expected


def test_the_slices_have_every_record_once() -> None:
    slices = [one for one in FACTS.statements(slices=SLICES) if BACKFILL.match(one)]
    found = [re.search(r"sipHash64\(r\.subject\) % (\d+) = (\d+)$", one) for one in slices]
    assert [one and (int(one[1]), int(one[2])) for one in found] == [(SLICES, number) for number in range(SLICES)]


def test_one_subject_may_have_cases_of_more_months_than_an_insert_may_have_partitions(client: Client) -> None:
    times = [datetime(1990 + month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(150)]
    cases = [{**of_case(f"evt-{month}"), "time": time, "case_at": time} for month, time in enumerate(times)]
    land(client, *(record("received", month, **case) for month, case in enumerate(cases)))
    forget_facts(client)
    migrate(client)
    assert client.query("SELECT count() FROM cases").result_rows == [(150,)]
