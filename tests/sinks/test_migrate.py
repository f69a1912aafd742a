"""Migrations run once, in order, and can be begun again where a run broke off."""

from __future__ import annotations

from dataclasses import replace

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from sinks.clickhouse.migrate import Migration, MigrationChanged, migrate, migrations, missing

FIRST = Migration(
    9001, "9001_first", "CREATE TABLE IF NOT EXISTS first (a UInt8) ENGINE = ${replicated}MergeTree ORDER BY a"
)
SECOND = Migration(9002, "9002_second", "-- why; not code\nCREATE TABLE IF NOT EXISTS second AS first;\nSELECT broken;")


def test_a_second_run_applies_nothing(client: Client) -> None:
    assert migrate(client) == []
    assert missing(client) == []
    assert client.query("SELECT version FROM migrations ORDER BY version").result_rows == [
        (migration.version,) for migration in migrations()
    ]


def test_versions_are_the_files_numbers_without_a_gap() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


def test_what_broke_off_is_begun_again(client: Client) -> None:
    with pytest.raises(DatabaseError):
        migrate(client, wanted=[FIRST, SECOND])
    mended = replace(SECOND, text=SECOND.text.replace("SELECT broken;", ""))
    assert migrate(client, wanted=[FIRST, mended]) == [mended]
    assert client.command("EXISTS TABLE second") == 1


def test_a_file_that_changed_after_it_was_applied_is_refused(client: Client) -> None:
    migrate(client, wanted=[FIRST])
    with pytest.raises(MigrationChanged, match="9001_first"):
        migrate(client, wanted=[replace(FIRST, text=FIRST.text + " ")])


def test_statements_are_for_the_family_of_engines() -> None:
    assert "ENGINE = MergeTree" in FIRST.statements("single")[0]
    assert "ENGINE = ReplicatedMergeTree" in FIRST.statements("replicated")[0]
    tables = [text for one in migrations() for text in one.statements("replicated") if "CREATE TABLE" in text]
    assert tables
    assert all("ENGINE = Replicated" in text for text in tables)
