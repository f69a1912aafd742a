"""A console for each module, on a migrated database of its own and a small broker without a record."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.topics import wanted_topics
from nightdesk.settings import Settings
from nightdesk.sinks.clickhouse.connection import connect
from nightdesk.sinks.settings import ClickHouseSettings
from tests.console.server import RunningConsole, running
from tests.fakes import messaging_servers
from tests.sinks.conftest import clickhouse, databases
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
def console(
    database: ClickHouseSettings, small_servers: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningConsole]:
    address, url = small_servers
    kafka = KafkaSettings(bootstrap_servers=address, topic_prefix=f"console-{uuid.uuid4().hex[:12]}.")
    settings = Settings(clickhouse=database, kafka=kafka, schema_registry=SchemaRegistrySettings(url=url))
    messaging_servers.create(address, [topic.name for topic in wanted_topics(kafka)])
    register_schemas(settings)
    with running(settings, tmp_path_factory.mktemp("console")) as found:
        yield found
