"""Migrated databases for tests, used again: to make one takes seconds, and to empty one takes a tenth of that."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.clickhouse.connection import connect
from nightdesk.sinks.clickhouse.migrate import create_database, migrate
from nightdesk.sinks.settings import ClickHouseSettings

FILLED = """
SELECT name FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%MergeTree' AND total_rows > 0 ORDER BY name
"""
DEFINED = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
DIGEST = "SELECT count(), sum(cityHash64(*)) FROM `{table}`"
# A client that was killed may have left an insert, or a change of rows, that still runs.
BUSY = """
SELECT (SELECT count() FROM system.processes WHERE current_database = currentDatabase() AND query_id != queryID())
    + (SELECT count() FROM system.mutations WHERE database = currentDatabase() AND NOT is_done)
"""


class State(NamedTuple):
    """The tables and views of a database, and its rows by table."""

    defined: list[tuple[str, ...]]
    digests: dict[str, object]


class Databases:
    """One database for each test that runs at this time. A test may do with its own what it likes."""

    def __init__(self, clickhouse: ClickHouseSettings) -> None:
        self._clickhouse = clickhouse
        self._free: list[str] = []

    @contextmanager
    def one(self) -> Iterator[ClickHouseSettings]:
        """An empty, migrated database."""
        name = self._free.pop() if self._free else self._make()
        with self._connected(name) as client:
            as_made = _state(client)
        url = self._clickhouse.url.rpartition("/")[0] + f"/{name}"
        yield self._clickhouse.model_copy(update={"url": url})
        with self._connected(name) as client:
            if _emptied(client, as_made):
                self._free.append(name)
            else:
                client.command(f"DROP DATABASE IF EXISTS {name}")

    def _make(self) -> str:
        name = f"test_{uuid.uuid4().hex[:12]}"
        with connect(self._clickhouse.client_arguments("migrate")) as client:
            create_database(client, name)
        with self._connected(name) as client:
            migrate(client)
        return name

    @contextmanager
    def _connected(self, name: str) -> Iterator[Client]:
        with connect({**self._clickhouse.client_arguments("migrate"), "database": name}) as client:
            yield client


def _state(client: Client) -> State:
    defined = [tuple(row) for row in client.query(DEFINED).result_rows]
    filled = [row[0] for row in client.query(FILLED).result_rows]
    return State(defined, {table: client.query(DIGEST.format(table=table)).result_rows for table in filled})


def _emptied(client: Client, as_made: State) -> bool:
    """Take away the rows that the test wrote. False if the database may then still differ from a new one."""
    if client.command(BUSY) != 0:
        return False
    for row in client.query(FILLED).result_rows:
        if row[0] not in as_made.digests:
            client.command(f"TRUNCATE TABLE `{row[0]}`")
    return _state(client) == as_made
