"""A process names the version that it runs, not the one that is installed by now."""

from datetime import UTC, datetime
from importlib import metadata

import pytest

from nightdesk.schemas.program import program_version
from nightdesk.streams.identity import Identity


def test_another_version_installed_under_a_process_does_not_change_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identity, running = Identity("act", "act-0"), program_version()
    monkeypatch.setattr("nightdesk.schemas.program.version", lambda name: "99.0.0")
    assert metadata.version("nightdesk") == running
    assert program_version() == running
    assert identity.report("ready", datetime.now(UTC)).program_version == running
