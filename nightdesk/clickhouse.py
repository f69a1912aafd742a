"""A connection to the audit for the commands that ask; turns what goes wrong into a `Failure` that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from nightdesk.exits import ExitCode, Failure
from nightdesk.settings import ClickHouseSettings
from sinks.clickhouse.connection import UNREACHABLE, connect, one_line

CODES_OF_A_MISSING_TABLE = ("UNKNOWN_TABLE", "UNKNOWN_DATABASE")


@contextmanager
def clickhouse(settings: ClickHouseSettings, bound: bool = True) -> Iterator[Client]:
    """A client for the block. Raises `Failure`: not configured, not reachable, or what ClickHouse said in one line.

    `bound=False` connects to the server and not to the database, which may not exist yet.
    """
    arguments = settings.client_arguments()
    if not bound:
        arguments["database"] = "__default__"
    try:
        client = connect(arguments)
        try:
            yield client
        finally:
            client.close()
    except UNREACHABLE as error:
        raise Failure(
            f"ClickHouse at {settings.public_url} does not answer: {one_line(error)}",
            "Start it, or correct NIGHTDESK_CLICKHOUSE__URL",
            ExitCode.UNREACHABLE,
        ) from error
    except ClickHouseError as error:
        remedy = "Run `nightdesk migrate`" if any(code in str(error) for code in CODES_OF_A_MISSING_TABLE) else ""
        raise Failure(f"ClickHouse: {one_line(error)}", remedy) from error
