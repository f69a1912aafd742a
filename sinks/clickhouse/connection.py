"""A ClickHouse client with our settings.

The driver's errors are classified here once: `UNREACHABLE` is an outage, any other `ClickHouseError` is a response.
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

    Raises one of `ANY_FAILURE` if nobody answers or the database does not exist.
    """
    return clickhouse_connect.get_client(
        **{
            "connect_timeout": CONNECT_TIMEOUT_S,
            "send_receive_timeout": ANSWER_TIMEOUT_S,
            # A session would allow one statement at a time, and has nothing that we need.
            "autogenerate_session_id": False,
            "dedicated_pool": True,  # `close` then closes the connections
            "tz_mode": "aware",
            **arguments,
            **more,
        }
    )


def one_line(error: Exception) -> str:
    """ClickHouse's message, without the driver's wrapping and the server's version."""
    text = " ".join(str(error).split())
    text = text.rpartition("DB::Exception: ")[2] if "DB::Exception: " in text else text
    return text.partition(" (version ")[0].partition(" (for url ")[0].rstrip(". ")
