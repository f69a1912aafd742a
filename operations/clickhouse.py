"""Connects operations to the audit, and turns errors into a `Failure` that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.sinks.clickhouse.access import StoreUser
from nightdesk.sinks.clickhouse.connection import ANSWER_TIMEOUT_S, UNREACHABLE, connect, one_line
from nightdesk.sinks.settings import ClickHouseSettings

ASK_FOR_LESS = "Ask for less: a shorter time, fewer columns, a LIMIT"
REMEDIES = {
    "UNKNOWN_TABLE": "Run `nightdesk migrate`",
    "UNKNOWN_DATABASE": "Run `nightdesk migrate`",
    "TIMEOUT_EXCEEDED": ASK_FOR_LESS,
    "MEMORY_LIMIT_EXCEEDED": ASK_FOR_LESS,
    "TOO_LARGE_STRING_SIZE": ASK_FOR_LESS,
}


@contextmanager
def clickhouse(
    settings: ClickHouseSettings,
    user: StoreUser | Literal["admin"] = "reader",
    bound: bool = True,
    answer_within_s: int = ANSWER_TIMEOUT_S,
) -> Iterator[Client]:
    """Yields a client and closes it at the end of the block. Raises `Failure`: not configured, not reachable, or
    ClickHouse's error in one line.

    `bound=False` connects to the server and not to the database, which may not exist yet.
    """
    arguments = settings.client_arguments(user)
    if not bound:
        arguments["database"] = "__default__"
    try:
        client = connect(arguments, send_receive_timeout=answer_within_s)
        try:
            yield client
        finally:
            client.close()
    except UNREACHABLE as error:
        raise Failure(
            f"ClickHouse at {settings.public_url} does not answer: {one_line(error)}",
            "Start it, or correct NIGHTDESK_CLICKHOUSE__URL",
            FailureKind.UNREACHABLE,
        ) from error
    except ClickHouseError as error:
        remedy = next((remedy for code, remedy in REMEDIES.items() if f"({code})" in str(error)), "")
        raise Failure(f"ClickHouse: {one_line(error)}", remedy) from error
