"""Migrations of tables run once, in order; views follow their files; an interrupted migration is started again."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from nightdesk.sinks.clickhouse import views
from nightdesk.sinks.clickhouse.migrate import Migration, MigrationChanged, migrate, migrations, outdated
from nightdesk.sinks.clickhouse.roll_ups import ROLL_UPS
from nightdesk.sinks.clickhouse.topology import Topology
from nightdesk.sinks.clickhouse.views import VIEWS, View

FIRST = Migration(
    9001, "9001_first", "CREATE TABLE IF NOT EXISTS first (a UInt8) ENGINE = ${replicated}MergeTree ORDER BY a"
)
SECOND = Migration(9002, "9002_second", "-- why; not code\nCREATE TABLE IF NOT EXISTS second AS first;\nSELECT broken;")

BASE = View("base", "-- One row. It's one;\n--\n-- More.\nCREATE OR REPLACE VIEW base (`a` UInt8) AS SELECT 1 AS a;\n")
READER = View("reader", "-- One row.\nCREATE OR REPLACE VIEW reader (`a` UInt8) AS SELECT a FROM base\n")


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version of the program without views."""
    monkeypatch.setattr(views, "VIEWS", ())


def test_a_second_run_applies_nothing(client: Client) -> None:
    assert migrate(client) == []
    assert outdated(client) == []
    assert client.query("SELECT version FROM migrations ORDER BY version").result_rows == [
        (migration.version,) for migration in migrations()
    ]


def test_versions_are_the_files_numbers_without_a_gap() -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))


@pytest.mark.usefixtures("no_files")
def test_what_broke_off_is_begun_again(client: Client) -> None:
    migrate(client)
    with pytest.raises(DatabaseError):
        migrate(client, wanted=[FIRST, SECOND])
    mended = replace(SECOND, text=SECOND.text.replace("SELECT broken;", ""))
    assert migrate(client, wanted=[FIRST, mended]) == [mended.name]
    assert client.command("EXISTS TABLE second") == 1


def test_a_file_that_changed_after_it_was_applied_is_refused(client: Client) -> None:
    migrate(client, wanted=[FIRST])
    with pytest.raises(MigrationChanged, match="9001_first"):
        migrate(client, wanted=[replace(FIRST, text=FIRST.text + " ")])


def test_each_number_is_that_of_one_migration() -> None:
    assert [one.version for one in migrations()] == list(range(1, len(migrations()) + 1))


def test_statements_are_for_the_family_of_engines() -> None:
    assert "ENGINE = MergeTree" in FIRST.statements()[0]
    assert "ENGINE = ReplicatedMergeTree" in FIRST.statements(Topology(replicated=True))[0]
    texts = [text for one in migrations() for text in one.statements(Topology(replicated=True))]
    # A table of the engine Null stores nothing that could be replicated.
    tables = [text for text in texts if "CREATE TABLE" in text and not text.endswith("ENGINE = Null")]
    assert tables
    assert all("ENGINE = Replicated" in text for text in tables)


def apply(client: Client, *wanted: View, tables: str = "") -> list[str]:
    found = views.changes(client, tables, wanted)
    views.update(client, found)
    assert views.changes(client, tables, wanted).names == []
    return found.names


@pytest.fixture
def bare(client: Client) -> Client:
    """A database without our views."""
    apply(client)
    return client


def test_a_view_is_applied_when_it_or_what_it_reads_changed(bare: Client) -> None:
    assert apply(bare, BASE, READER) == ["base", "reader"]
    changed = replace(READER, text=READER.text.replace("SELECT a", "SELECT a + 1 AS a"))
    assert apply(bare, BASE, changed) == ["reader"]
    assert bare.command("SELECT a FROM reader") == 2
    wider = replace(BASE, text=BASE.text.replace("UInt8", "UInt16").replace("1 AS a", "300 AS a"))
    assert apply(bare, wider, changed) == ["base", "reader"]
    assert apply(bare, wider, changed, tables="changed") == ["base", "reader"]


def test_a_view_without_a_file_is_dropped_and_one_of_others_stays(bare: Client) -> None:
    bare.command("CREATE VIEW theirs AS SELECT 1 AS a COMMENT 'of nightdesk''s analysts'")
    apply(bare, BASE, READER)
    assert apply(bare, BASE) == ["reader"]
    assert [bare.command(f"EXISTS {name}") for name in ("base", "reader", "theirs")] == [1, 0, 1]


def test_a_view_that_somebody_dropped_or_replaced_is_applied_again(bare: Client) -> None:
    apply(bare, BASE, READER)
    bare.command("DROP VIEW reader")
    assert apply(bare, BASE, READER) == ["reader"]
    bare.command("CREATE OR REPLACE VIEW base AS SELECT 2 AS a")
    assert apply(bare, BASE, READER) == ["base"]


def test_views_that_broke_off_are_begun_again(bare: Client) -> None:
    broken = replace(READER, text=READER.text.replace("SELECT a", "SELECT"))
    with pytest.raises(DatabaseError):
        apply(bare, BASE, broken)
    assert apply(bare, BASE, READER) == ["reader"]


def test_what_a_view_is_stands_in_its_comment(bare: Client) -> None:
    apply(bare, BASE)
    ((comment,),) = bare.query(
        "SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = 'base'"
    ).result_rows
    assert str(comment).startswith("One row. It's one; [nightdesk ")


def test_outdated_names_what_migrate_would_change(client: Client) -> None:
    client.command("DROP VIEW ends")
    client.command("CREATE OR REPLACE VIEW steps AS SELECT 1 AS a")
    assert outdated(client) == ["steps", "ends"]
    assert migrate(client) == ["steps", "ends"]
    client.command("DROP TABLE migrations")
    assert outdated(client) == [migration.name for migration in migrations()]


def test_every_file_of_a_view_is_in_the_list_and_makes_the_view_of_its_name() -> None:
    folder = files("nightdesk.sinks.clickhouse").joinpath("views")
    named = {*VIEWS} - {one.view for one in ROLL_UPS}
    assert sorted(named) == sorted(entry.name.removesuffix(".sql") for entry in folder.iterdir())
    for view in views.views():
        assert f"\nCREATE OR REPLACE VIEW {view.name}\n(\n" in view.text
        assert view.description


def test_every_column_of_a_view_says_what_it_is(client: Client) -> None:
    columns = "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND comment = '' AND table IN"
    assert client.query(f"{columns} {VIEWS}").result_rows == []


def test_each_view_has_exactly_the_columns_that_its_file_writes_out(client: Client) -> None:
    """Types too: ClickHouse would convert a column whose type differs, silently and for every row."""
    for view in views.views():
        written = client.query(f"DESCRIBE TABLE {view.name}").result_rows
        body = view.text.partition("\n)\nAS ")[2]
        found = client.query(f"DESCRIBE TABLE ({body})").result_rows
        assert [row[:2] for row in written] == [(row[0], _plain(row[1])) for row in found], view.name


def _plain(of_column: str) -> str:
    """The type of the values of a state's column: ClickHouse converts nothing there."""
    return re.sub(r"SimpleAggregateFunction\((?:max|min), (.+)\)", r"\1", of_column)
