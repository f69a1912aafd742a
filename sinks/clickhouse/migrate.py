"""Brings a ClickHouse database up to this version's tables and views.

Tables change by migrations, forward only: an applied file never changes (its digest is recorded), a change is a new
file. ClickHouse has no transactions, so each statement must be harmless when it runs twice: a migration that was
started and not recorded is started again. A statement with `${slice}` runs once for each of `${slices}` slices, from 0,
so that one which sorts a large table needs the memory for a part of it. Views have no history: `views.py` replaces
those that changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.clickhouse import views
from nightdesk.sinks.clickhouse.quoting import quoted
from nightdesk.sinks.clickhouse.script import statements_of
from nightdesk.sinks.clickhouse.topology import ONE_SERVER, Topology

# Each slice reads the whole table and sorts its part, so more of them need less memory and more time.
ROWS_OF_A_SLICE = 200_000
SLICES_AT_MOST = 64
# What the sliced statements read. To count all tables by `system.tables` takes long on a busy server.
STORED_ROWS = "SELECT count() FROM audit_records"

LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (version UInt32, name String, sha256 String, applied_at DateTime64(3, 'UTC'))
ENGINE = ${replicated}ReplacingMergeTree ORDER BY version
"""


LEDGER_ENGINE = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'migrations'"


class OtherTopology(RuntimeError):
    """The tables of this database are replicated and the settings say that they are not, or the reverse."""


class MigrationChanged(RuntimeError):
    """A file differs from what was applied to this database under its number."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `0001_tables.sql` is version 1."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, topology: Topology = ONE_SERVER, slices: int = 1) -> list[str]:
        """The SQL statements in order, for this topology."""
        texts = [topology.statement(statement) for statement in statements_of(self.text)]
        return [one for text in texts for one in _sliced(text, slices)]


def migrations() -> list[Migration]:
    """All files, in order."""
    entries = [
        one for one in files("nightdesk.sinks.clickhouse").joinpath("migrations").iterdir() if one.name.endswith(".sql")
    ]
    texts = {entry.name.removesuffix(".sql"): entry.read_text(encoding="utf-8") for entry in entries}
    return [Migration(int(name.partition("_")[0]), name, text) for name, text in sorted(texts.items())]


def create_database(client: Client, name: str, topology: Topology = ONE_SERVER) -> None:
    """Create the database if it is missing; `client` must not be bound to it yet."""
    client.command(topology.statement(f"CREATE DATABASE IF NOT EXISTS {quoted(name)}"))


def migrate(client: Client, topology: Topology = ONE_SERVER, wanted: Sequence[Migration] | None = None) -> list[str]:
    """Bring the client's database up to date: missing migrations (of `wanted`, if given), then views.

    Returns the names of the migrations that were applied and of the views that were replaced or dropped. Raises
    `MigrationChanged` and `OtherTopology`.
    """
    client.command(topology.statement(LEDGER))
    _check_topology(client, topology)
    files_of_tables = migrations() if wanted is None else wanted
    lacking = _lacking(client, files_of_tables)
    for migration in lacking:
        for statement in migration.statements(topology, _slices(client, migration)):
            client.command(statement)
        client.command(
            "INSERT INTO migrations SELECT {version:UInt32}, {name:String}, {sha256:String}, now64(3)",
            parameters={"version": migration.version, "name": migration.name, "sha256": migration.sha256},
        )
    changed = views.changes(client, _digest(files_of_tables))
    views.update(client, changed, topology)
    return [*(migration.name for migration in lacking), *changed.names]


def outdated(client: Client) -> list[str]:
    """The names that `migrate` would return: what the database lacks, or has in another version's form."""
    found = migrations()
    lacking = _lacking(client, found) if client.command("EXISTS TABLE migrations") else found
    return [*(migration.name for migration in lacking), *views.changes(client, _digest(found)).names]


def unknown_migrations(client: Client, ledger: str) -> list[str]:
    """The migrations in a table like `migrations` that this version does not have. Raises `MigrationChanged`."""
    known = {migration.version: migration for migration in migrations()}
    rows = client.query(f"SELECT version, name, sha256 FROM {ledger} FINAL ORDER BY version").result_rows  # noqa: S608
    for version, _, sha256 in rows:
        if version in known:
            _check_unchanged(known[version], sha256)
    return [name for version, name, _ in rows if version not in known]


def _lacking(client: Client, wanted: Sequence[Migration]) -> list[Migration]:
    """Migrations that were not applied yet. Raises `MigrationChanged` for an applied one that has changed since."""
    rows = client.query("SELECT version, sha256 FROM migrations FINAL").result_rows
    done = {row[0]: row[1] for row in rows}
    for migration in wanted:
        if migration.version in done:
            _check_unchanged(migration, done[migration.version])
    return [migration for migration in wanted if migration.version not in done]


def _check_topology(client: Client, topology: Topology) -> None:
    ((engine,),) = client.query(LEDGER_ENGINE).result_rows
    if str(engine).startswith("Replicated") != topology.replicated:
        raise OtherTopology(str(engine))


def _sliced(statement: str, slices: int) -> list[str]:
    if "${slice}" not in statement:
        return [statement]
    counted = statement.replace("${slices}", str(slices))
    return [counted.replace("${slice}", str(number)) for number in range(slices)]


def _slices(client: Client, migration: Migration) -> int:
    """How many slices this database's rows need; any number gives the same result."""
    if "${slice}" not in migration.text:
        return 1
    rows = int(client.query(STORED_ROWS).result_rows[0][0])
    return min(SLICES_AT_MOST, 1 + rows // ROWS_OF_A_SLICE)


def _digest(wanted: Sequence[Migration]) -> str:
    return hashlib.sha256("".join(migration.sha256 for migration in wanted).encode()).hexdigest()


def _check_unchanged(migration: Migration, applied_sha256: str) -> None:
    if migration.sha256 != applied_sha256:
        raise MigrationChanged(
            f"{migration.name}.sql is not what was applied to this database: restore the file and put the change into "
            "a new migration, or (only on a development machine) drop the database"
        )
