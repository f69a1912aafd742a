"""Fixtures for every test: a real Kafka, registry and ClickHouse, started once for the whole session."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import settings

from nightdesk.local.stack import LocalStack
from nightdesk.settings import Settings
from tests.canaries import leaks

# No test asserts a wall time, and hypothesis's deadline is one.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """The local stack on free ports. Tests keep apart by `topic_prefix` and by database name.

    When all of them are over, no secret of theirs may have come to rest.
    """
    with LocalStack.on_free_ports(tmp_path_factory.mktemp("stack")) as running:
        yield running
        found = leaks(running.settings, [tmp_path_factory.getbasetemp()])
        assert not found, f"secrets have leaked: {found[:20]}"


@pytest.fixture
def topic_prefix() -> str:
    """A prefix no other test uses."""
    return f"test-{uuid.uuid4().hex[:12]}."


@pytest.fixture
def stack_settings(stack: LocalStack, topic_prefix: str) -> Settings:
    """Settings of the running stack with this test's own topics."""
    kafka = stack.settings.kafka.model_copy(update={"topic_prefix": topic_prefix})
    return stack.settings.model_copy(update={"kafka": kafka})
