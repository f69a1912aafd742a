"""The command line on the session's stack, with topics, schemas and a database that are this test's own."""

from __future__ import annotations

import pytest

from nightdesk.commands.schemas import register_schemas
from nightdesk.commands.topics import apply_topics
from nightdesk.settings import ClickHouseSettings, Settings
from tests.nightdesk.command_line import CommandLine
from tests.sinks.conftest import client, database

__all__ = ["client", "database"]


@pytest.fixture
def nightdesk(
    stack_settings: Settings,
    database: ClickHouseSettings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> CommandLine:
    """`nightdesk` where a database is migrated."""
    return CommandLine(stack_settings.model_copy(update={"clickhouse": database}), monkeypatch, capsys)


@pytest.fixture
def topics(stack_settings: Settings) -> Settings:
    """The topics and the schemas."""
    apply_topics(stack_settings.kafka)
    register_schemas(stack_settings)
    return stack_settings
