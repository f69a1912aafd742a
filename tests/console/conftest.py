"""A console on a migrated database of its own for each module; without a broker, what needs one cannot be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings
from nightdesk.settings import Settings
from nightdesk.sinks.clickhouse.connection import connect
from nightdesk.sinks.settings import ClickHouseSettings
from tests.console.server import RunningConsole, running
from tests.sinks.conftest import NOWHERE, clickhouse, databases
from tests.sinks.databases import Databases

__all__ = ["clickhouse", "databases"]


@pytest.fixture(scope="module")
def database(databases: Databases) -> Iterator[ClickHouseSettings]:
    with databases.one() as found:
        yield found


@pytest.fixture(scope="module")
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database.client_arguments()) as connected:
        yield connected


@pytest.fixture(scope="module")
def console(database: ClickHouseSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningConsole]:
    settings = Settings(
        clickhouse=database,
        kafka=KafkaSettings(bootstrap_servers=NOWHERE),
        schema_registry=SchemaRegistrySettings(url=f"http://{NOWHERE}"),
    )
    with running(settings, tmp_path_factory.mktemp("console")) as found:
        yield found
