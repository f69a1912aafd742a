"""Fixtures for every test: a real Kafka, registry and ClickHouse, started once for the whole session."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from nightdesk.local.stack import LocalStack
from nightdesk.messaging.settings import KafkaSettings, SchemaRegistrySettings
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.topics import wanted_topics
from nightdesk.settings import Settings
from tests import effort
from tests.fakes import messaging_servers
from tests.secret_leaks import MARKS, SECRETS, in_topics, kafka_log, leaks

# A folder that lies in memory, where the system has one, and what a session may need of it.
MEMORY = Path("/dev/shm")
MEMORY_BYTES = 6 * 1024**3

# Tests that start processes or parts of their own.
_STARTS_PARTS = (
    "tests/chaos/", "tests/adversarial/test_attack.py", "tests/pipeline/", "tests/protections/",
    "tests/test_secret_leaks.py",
    "tests/streams/test_fault_injection.py", "tests/nightdesk/test_local_", "tests/nightdesk/test_install.py",
    "tests/chart/", "tests/alerts/",
    "tests/benchmarks/", "tests/console/test_browser.py",
)  # fmt: skip
# Tests that start ClickHouse in processes of their own.
_STARTS_CLICKHOUSE = ("tests/sinks/test_access.py",)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-broker", action="store_true", help="only tests that start no Kafka")
    parser.addoption("--without-clickhouse", action="store_true", help="only tests that start no ClickHouse")
    parser.addoption("--few-examples", action="store_true", help="a tenth of the examples that are drawn")
    parser.addoption("--explore", action="store_true", help="draw other examples than last time, and more of them")


def pytest_configure(config: pytest.Config) -> None:
    # Where there is no terminal there is no width, also in a worker of xdist.
    os.environ.pop("COLUMNS", None)
    if config.getoption("--few-examples"):
        effort.try_with("few")
    if config.getoption("--explore"):
        effort.try_with("explore")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """`make test-fast` and `make mutants` leave out what needs the local stack, and what is slow. The mutants keep the
    tests that start ClickHouse alone.
    """
    if not config.getoption("--without-broker"):
        return
    started, places = {"stack"}, list(_STARTS_PARTS)
    if config.getoption("--without-clickhouse"):
        started.add("clickhouse")
        places += _STARTS_CLICKHOUSE
    config.hook.pytest_deselected(items=[item for item in items if not _is_fast(item, started, places)])
    items[:] = [item for item in items if _is_fast(item, started, places)]


def _is_fast(item: pytest.Item, started: set[str], places: Sequence[str]) -> bool:
    """Whether the test is not slow and starts nothing: none of these fixtures, and no part of its own."""
    fixtures = set(getattr(item, "fixturenames", ()))
    return not (started & fixtures or item.get_closest_marker("slow") or item.nodeid.startswith(tuple(places)))


@pytest.fixture(scope="session")
def stack_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the session's stack keeps its data: in memory if there is room. Kafka waits for the disk several times for
    each partition that it creates, so that the topics of one test take ten times as long on a disk.
    """
    if not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < MEMORY_BYTES:
        yield tmp_path_factory.mktemp("stack")
        return
    with tempfile.TemporaryDirectory(prefix="nightdesk-tests-", dir=MEMORY) as home:
        yield Path(home)


@pytest.fixture(scope="session")
def stack(stack_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The local stack on free ports. Tests keep apart by `topic_prefix` and by database name.

    When all of them are over, no secret of theirs may have come to rest.
    """
    SECRETS.write(stack_home)
    with LocalStack.on_free_ports(stack_home) as running:
        yield running
        found = leaks(running.settings, [tmp_path_factory.getbasetemp(), stack_home])
        assert not found, f"secrets have leaked: {found[:20]}"


@pytest.fixture
def topic_prefix() -> str:
    """A prefix no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture(scope="session")
def small_servers() -> Iterator[tuple[str, str]]:
    """A broker and a registry in this process: their addresses."""
    with messaging_servers.broker() as address, messaging_servers.schema_registry() as url:
        yield address, url


@pytest.fixture
def small_settings(small_servers: tuple[str, str], topic_prefix: str, tmp_path: Path) -> Settings:
    """Settings with topics and schemas of this test's own on these two. No stage can run on them."""
    address, url = small_servers
    kafka = KafkaSettings(bootstrap_servers=address, topic_prefix=topic_prefix)
    settings = Settings(home=tmp_path, kafka=kafka, schema_registry=SchemaRegistrySettings(url=url))
    messaging_servers.create(address, [topic.name for topic in wanted_topics(kafka)])
    register_schemas(settings)
    return settings


@pytest.fixture
def stack_settings(stack: LocalStack, topic_prefix: str) -> Iterator[Settings]:
    """Settings of the running stack with this test's own topics.

    They are looked through and deleted when the test is over: thousands of partitions slow down every test after it.
    """
    kafka = stack.settings.kafka.model_copy(update={"topic_prefix": topic_prefix})
    yield stack.settings.model_copy(update={"kafka": kafka})
    # Those of its consumer groups begin like this too.
    name = topic_prefix.rstrip(".")
    found = in_topics(kafka_log(stack.settings.home), MARKS, name)
    assert not found, f"secrets have leaked: {found[:20]}"
    _delete_topics(stack, name)


def _delete_topics(stack: LocalStack, prefix: str) -> None:
    admin = AdminClient(stack.settings.kafka.client_config())
    own = [name for name in admin.list_topics(timeout=30).topics if name.startswith(prefix)]
    for deleted in admin.delete_topics(own).values() if own else ():
        deleted.result(timeout=30)
