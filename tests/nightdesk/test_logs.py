"""One line a message on stderr, whoever logs: text for people, JSON for machines."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from nightdesk.logs import configure_logging
from nightdesk.settings import LogSettings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_json_has_the_same_fields_from_both_ways_to_log(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json"))
    logging.getLogger("ours").warning("stopping: %s", "why", extra={"exit_code": 71})
    structlog.get_logger("theirs").info("sink started", topic="audit")
    captured = capsys.readouterr()
    first, second = map(json.loads, captured.err.splitlines())
    assert captured.out == ""
    assert (first["event"], first["level"], first["logger"], first["exit_code"]) == (
        "stopping: why",
        "warning",
        "ours",
        71,
    )
    assert (second["event"], second["level"], second["topic"]) == ("sink started", "info", "audit")
    assert first["timestamp"].endswith("Z")


def test_libraries_that_talk_of_every_heartbeat_are_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings())
    logging.getLogger("aiokafka.consumer").info("heartbeat")
    logging.getLogger("nightdesk").info("ready")
    assert "heartbeat" not in capsys.readouterr().err
