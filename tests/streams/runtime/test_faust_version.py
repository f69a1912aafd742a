"""A worker starts only with the version of Faust whose internals the safety layer uses."""

import importlib.metadata

import faust
import pytest

from nightdesk.bootstrap import run_stage
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.settings import Settings
from nightdesk.streams.runtime import faust_app


def test_the_installed_version_is_the_right_one() -> None:
    faust_app.check_version()


def test_another_version_ends_the_worker_before_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.16.0")
    with pytest.raises(Failure, match=r"faust-streaming 0\.16\.0 is installed.*requirements/core\.txt") as caught:
        run_stage("timers", Settings())
    assert caught.value.kind is FailureKind.NOT_READY


def test_a_build_without_the_compiled_stream_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust.streams, "_CStreamIterator", None)
    with pytest.raises(faust_app.WrongFaust, match="without its compiled modules"):
        faust_app.check_version()
