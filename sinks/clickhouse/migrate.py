"""Brings a ClickHouse database up to this version's tables and views. Called by `nightdesk migrate`.

Forward only: a file that has been applied never changes (its hash is kept), a change is a new file. Every statement can
run twice, because ClickHouse has no transactions: what was begun and not recorded is begun again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import Literal

from clickhouse_connect.driver.client import Client

Engines = Literal["single", "replicated"]

ENGINE_PREFIX: dict[Engines, str] = {"single": "", "replicated": "Replicated"}

LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (version UInt32, name String, sha256 String, applied_at DateTime64(3, 'UTC'))
ENGINE = ${replicated}ReplacingMergeTree ORDER BY version
"""


class MigrationChanged(RuntimeError):
    """A file differs from what was applied to this database under its number."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `0001_audit_records.sql` is version 1."""

    version: int
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, engines: Engines) -> list[str]:
        """The SQL statements in order, for this family of engines."""
        text = Template(self.text).substitute(replicated=ENGINE_PREFIX[engines])
        code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))
        return [statement.strip() for statement in code.split(";") if statement.strip()]


def migrations() -> list[Migration]:
    """All files, in order."""
    entries = files("sinks.clickhouse").joinpath("migrations").iterdir()
    texts = {entry.name.removesuffix(".sql"): entry.read_text() for entry in entries if entry.name.endswith(".sql")}
    return [Migration(int(name.partition("_")[0]), name, text) for name, text in sorted(texts.items())]


def create_database(client: Client, name: str) -> None:
    """Create the database where it is missing; `client` must not be bound to it yet."""
    client.command(f"CREATE DATABASE IF NOT EXISTS `{name.replace('`', '')}`")


def migrate(client: Client, engines: Engines = "single", wanted: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is missing in the client's database; gives what was applied. Raises `MigrationChanged`."""
    client.command(Template(LEDGER).substitute(replicated=ENGINE_PREFIX[engines]))
    rows = client.query("SELECT version, sha256 FROM migrations FINAL").result_rows
    done = {row[0]: row[1] for row in rows}
    applied = []
    for migration in migrations() if wanted is None else wanted:
        if migration.version in done:
            _check_unchanged(migration, done[migration.version])
            continue
        for statement in migration.statements(engines):
            client.command(statement)
        client.command(
            "INSERT INTO migrations SELECT {version:UInt32}, {name:String}, {sha256:String}, now64(3)",
            parameters={"version": migration.version, "name": migration.name, "sha256": migration.sha256},
        )
        applied.append(migration)
    return applied


def missing(client: Client) -> list[Migration]:
    """What `migrate` would apply; everything where the database has never been migrated."""
    if not client.command("EXISTS TABLE migrations"):
        return migrations()
    done = {row[0] for row in client.query("SELECT version FROM migrations FINAL").result_rows}
    return [migration for migration in migrations() if migration.version not in done]


def _check_unchanged(migration: Migration, applied_sha256: str) -> None:
    if migration.sha256 != applied_sha256:
        raise MigrationChanged(
            f"{migration.name}.sql is not what was applied to this database: restore the file and put the change into "
            "a new migration, or (only on a development machine) drop the database"
        )
