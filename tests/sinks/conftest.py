"""A migrated database of its own for each test, in the session's ClickHouse, which runs without a broker too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.local.stack import FREE_PORTS, LocalStack
from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings
from nightdesk.settings import Settings
from nightdesk.settings_sections import ConnectionSettings
from nightdesk.sinks.clickhouse.connection import connect
from nightdesk.sinks.settings import ClickHouseSettings
from tests.sinks.databases import Databases
from tests.sinks.loaded import Loaded, load

# Where nothing listens: the stack takes these parts for configured elsewhere, and does not start them.
NOWHERE = "127.0.0.1:9"


@pytest.fixture(scope="session")
def clickhouse(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClickHouseSettings]:
    """The stack's, or, in a run without a broker, one that runs alone."""
    if not request.config.getoption("--without-broker"):
        yield request.getfixturevalue("stack").settings.clickhouse
        return
    alone = Settings(
        home=tmp_path_factory.mktemp("clickhouse"),
        local=FREE_PORTS,
        kafka=KafkaSettings(bootstrap_servers=NOWHERE),
        schema_registry=SchemaRegistrySettings(url=f"http://{NOWHERE}"),
        connections={"helpdesk": ConnectionSettings(base_url=f"http://{NOWHERE}")},
    )
    with LocalStack(alone) as running:
        yield running.settings.clickhouse


@pytest.fixture(scope="session")
def loaded(clickhouse: ClickHouseSettings) -> Loaded:
    """A database with many cases, which tests only read."""
    return load(clickhouse)


@pytest.fixture(scope="session")
def databases(clickhouse: ClickHouseSettings) -> Databases:
    return Databases(clickhouse)


@pytest.fixture
def database(databases: Databases) -> Iterator[ClickHouseSettings]:
    """An empty, migrated database."""
    with databases.one() as found:
        yield found


@pytest.fixture
def client(database: ClickHouseSettings) -> Iterator[Client]:
    with connect(database.client_arguments("migrate")) as connected:
        yield connected
