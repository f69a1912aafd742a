"""A ClickHouse client as all of us want it. Called by the writer and by every command that asks.

What the driver raises is told apart here once: `UNREACHABLE` is an outage, any other `ClickHouseError` an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError
from urllib3.exceptions import HTTPError

UNREACHABLE: tuple[type[Exception], ...] = (OperationalError, HTTPError, OSError)
ANY_FAILURE: tuple[type[Exception], ...] = (ClickHouseError, HTTPError, OSError)

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60


def connect(arguments: Mapping[str, Any], **more: Any) -> Client:
    """A client for `clickhouse_connect.get_client`'s arguments (host, port, username, password, database, secure).

    Raises one of `ANY_FAILURE` when nobody answers or the database does not exist.
    """
    return clickhouse_connect.get_client(
        **{
            "connect_timeout": CONNECT_TIMEOUT_S,
            "send_receive_timeout": ANSWER_TIMEOUT_S,
            # A session would let one statement at a time through, and keeps nothing that we need.
            "autogenerate_session_id": False,
            "dedicated_pool": True,  # `close` then closes the connections
            "tz_mode": "aware",
            **arguments,
            **more,
        }
    )


def one_line(error: Exception) -> str:
    """What ClickHouse said, without the driver's wrapping and the server's version."""
    text = " ".join(str(error).split())
    text = text.rpartition("DB::Exception: ")[2] if "DB::Exception: " in text else text
    return text.partition(" (version ")[0].partition(" (for url ")[0].rstrip(". ")
