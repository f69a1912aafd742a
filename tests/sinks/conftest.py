"""A migrated database of its own for each test, in the session's ClickHouse."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.local.stack import LocalStack
from nightdesk.settings import ClickHouseSettings
from sinks.clickhouse.connection import connect
from sinks.clickhouse.migrate import create_database, migrate


@pytest.fixture
def database(stack: LocalStack) -> ClickHouseSettings:
    """An empty, migrated database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    arguments = stack.settings.clickhouse.client_arguments()
    with connect(arguments) as client:
        create_database(client, name)
    with connect({**arguments, "database": name}) as client:
        migrate(client)
    return ClickHouseSettings(url=stack.settings.clickhouse.url.rpartition("/")[0] + f"/{name}")


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database.client_arguments()) as connected:
        yield connected
