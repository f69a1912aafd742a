"""Backups of the audit database, made and read by ClickHouse itself (`BACKUP`, `RESTORE`), on a disk of the server or
in a bucket.

A backup has all tables and materialized views. The views that people query have no data, and `migrate` creates them in
the form of its version.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nightdesk.sinks.clickhouse.quoting import literal, quoted
from nightdesk.sinks.clickhouse.topology import ONE_SERVER, Topology

if TYPE_CHECKING:  # every worker reads the settings, which say where backups lie
    from clickhouse_connect.driver.client import Client

LOOK_S = 0.5
DISK = "disk:"
# The name of the backup's own list of migrations, which is restored and read before anything else.
MIGRATIONS_OF_BACKUP = "migrations_of_backup"

VIEWS = "SELECT name FROM system.tables WHERE database = {database:String} AND engine = 'View' ORDER BY name"
TABLES = "SELECT name FROM system.tables WHERE database = {database:String} ORDER BY name"
STORED_BYTES = "SELECT sum(bytes_on_disk) FROM system.parts WHERE database = {database:String} AND active"
MUTATED = """
SELECT DISTINCT table FROM system.parts
WHERE database = {database:String} AND active AND data_version > min_block_number ORDER BY table
"""
STATE = "SELECT toString(status), total_size, bytes_read, error FROM system.backups WHERE id = {id:String}"


class BackupFailed(Exception):
    """A backup or a restore failed; the message is ClickHouse's reason."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where backups lie: `disk:NAME`, a disk that the server's configuration allows for backups, or the URL of a folder
    in a bucket. Without a key the server uses its own credentials for the bucket.
    """

    place: str
    key_id: str = ""
    secret: str = field(default="", repr=False)

    @property
    def is_disk(self) -> bool:
        return self.place.startswith(DISK)

    @property
    def kind(self) -> str:
        """What ClickHouse calls it in a GRANT; empty if there is no place."""
        return ("DISK" if self.is_disk else "S3") if self.place else ""

    def of(self, name: str) -> str:
        """The backup of that name, in SQL."""
        if self.is_disk:
            return f"Disk({literal(self.place.removeprefix(DISK))}, {literal(name)})"
        url = f"{self.place}/{name}"
        login = (self.key_id, self.secret) if self.key_id else ()
        return f"S3({', '.join(map(literal, (url, *login)))})"


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup of a database. An incremental one has only what its `base` lacks."""

    database: str
    destination: Destination
    name: str
    base: str = ""
    topology: Topology = ONE_SERVER

    def begin(self, client: Client) -> str:
        """Let ClickHouse begin the backup; returns its id."""
        views = [str(row[0]) for row in client.query(VIEWS, {"database": self.database}).result_rows]
        without = f" EXCEPT TABLES {', '.join(self._table(view) for view in views)}" if views else ""
        base = f" SETTINGS base_backup = {self.destination.of(self.base)}" if self.base else ""
        return _begun(
            client,
            f"BACKUP DATABASE {quoted(self.database)}{without}{self.topology.on_cluster} "
            f"TO {self.destination.of(self.name)} ASYNC{base}",
        )

    def begin_restore(self, client: Client, target: str) -> str:
        """Let ClickHouse begin to restore it as the database `target`; returns the id of the restore."""
        return _begun(
            client,
            f"RESTORE DATABASE {quoted(self.database)} AS {quoted(target)}{self.topology.on_cluster} "
            f"FROM {self.destination.of(self.name)} ASYNC",
        )

    def restore_migrations(self, client: Client, target: str) -> str:
        """Restore only the table that says which migrations the backup has; returns its name in `target`.

        Raises ClickHouse's error if there is no such backup.
        """
        copy = f"{quoted(target)}.{MIGRATIONS_OF_BACKUP}"
        self.drop_migrations(client, target)
        source = self._table("migrations")
        where = f"{self.topology.on_cluster} FROM {self.destination.of(self.name)}"
        client.command(f"RESTORE TABLE {source} AS {copy}{where}")
        return copy

    def drop_migrations(self, client: Client, target: str) -> None:
        """Drop that table again."""
        table = f"{quoted(target)}.{MIGRATIONS_OF_BACKUP}"
        client.command(f"DROP TABLE IF EXISTS {table}{self.topology.on_cluster} SYNC")

    def _table(self, name: str) -> str:
        return f"{quoted(self.database)}.{quoted(name)}"


def follow(client: Client, identity: str, begin: Callable[[int], Callable[[int], None]], expected: int = 0) -> int:
    """Wait until the backup or the restore is done; returns the bytes of all its files.

    `begin` is called with the number of all bytes, once that is known, and what it returns is called with the number of
    bytes that were done since the last call. Raises `BackupFailed`.
    """
    advance, told = begin(expected) if expected else None, 0
    while True:
        rows = client.query(STATE, {"id": identity}).result_rows
        if not rows:
            raise BackupFailed(
                "the server does not know it any more: it may have restarted, or several servers may answer at the URL"
            )
        status, total, read, error = rows[0]
        if status.endswith(("_FAILED", "_CANCELLED")):
            raise BackupFailed(str(error).partition(", Stack trace ")[0] or status.lower())
        if advance is None and total:
            advance = begin(total)
        if advance is not None:
            done = read if status.startswith("RESTOR") else total
            advance(done - told)
            told = done
        if status in ("BACKUP_CREATED", "RESTORED"):
            return int(total)
        time.sleep(LOOK_S)


def renew_parts(client: Client, database: str) -> None:
    """Detach the parts of restored tables and attach them again.

    A restored part keeps the number of its last mutation, but the restored table numbers its mutations from the count
    of its parts. So ClickHouse would think that it had executed the next deletions already, and would leave the rows.
    An attached part has no such number.
    """
    for (table,) in client.query(MUTATED, {"database": database}).result_rows:
        for change in ("DETACH", "ATTACH"):
            client.command(f"ALTER TABLE {quoted(database)}.{quoted(table)} {change} PARTITION ALL")


def stored_bytes(client: Client, database: str) -> int:
    """The size of the database's tables."""
    return int(client.query(STORED_BYTES, {"database": database}).result_rows[0][0])


def tables_of(client: Client, database: str) -> list[str]:
    """Everything that has a name in the database."""
    return [str(row[0]) for row in client.query(TABLES, {"database": database}).result_rows]


def _begun(client: Client, statement: str) -> str:
    return str(client.query(statement).result_rows[0][0])
