"""The command line on the session's stack, with topics, schemas and a database of the test's own."""

from __future__ import annotations

import pytest

from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.topics import apply_topics
from nightdesk.settings import Settings
from nightdesk.sinks.settings import ClickHouseSettings
from tests.nightdesk.command_line import CommandLine
from tests.sinks.conftest import clickhouse, client, database, databases

__all__ = ["clickhouse", "client", "database", "databases"]


@pytest.fixture
def nightdesk(
    stack_settings: Settings,
    database: ClickHouseSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    """`nightdesk` with a migrated database."""
    return CommandLine(stack_settings.model_copy(update={"clickhouse": database}), monkeypatch, capsys)


@pytest.fixture
def topics(stack_settings: Settings) -> Settings:
    """The topics and the schemas."""
    apply_topics(stack_settings.kafka)
    register_schemas(stack_settings)
    return stack_settings
