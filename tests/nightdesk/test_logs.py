"""One line for each message on stderr, whoever logs: text for people, JSON for machines."""

import json
import logging
from collections.abc import Iterator

import pytest

from nightdesk.logs import configure_logging
from nightdesk.settings_sections import LogSettings
from nightdesk.streams.audit_log import AUDIT_LOGGER, FIELDS
from tests.nightdesk.hostile_text import HOSTILE, obeyed


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, audit = logging.getLogger(), logging.getLogger(AUDIT_LOGGER)
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    audit.handlers[:], audit.propagate = [], True


def test_json_has_the_fields_of_a_record_and_what_it_carries(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json"))
    logging.getLogger("ours").warning("stopping: %s", "why", extra={"exit_code": 71})
    logging.getLogger("ours").info("sink started", extra={"topic": "audit"})
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


# Avro's strings are UTF-8, which has no lone surrogates.
SUBJECTS = {name: text for name, text in HOSTILE.items() if name != "lone surrogate"}


def _audit_line(subject: str, capsys: pytest.CaptureFixture[str]) -> str:
    logging.getLogger(AUDIT_LOGGER).warning("decided", extra={FIELDS: {"subject": subject}})
    [line, end] = capsys.readouterr().err.split("\n")
    assert end == ""
    return line


@pytest.mark.parametrize("subject", SUBJECTS.values(), ids=SUBJECTS.keys())
def test_a_subject_in_a_line_of_the_audit_is_shown_and_not_obeyed(
    subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging(LogSettings(format="text"))
    assert not obeyed(_audit_line(subject, capsys))
    configure_logging(LogSettings(format="json"))
    line = _audit_line(subject, capsys)
    assert not obeyed(line)
    assert json.loads(line)["subject"] == subject


@pytest.mark.parametrize(
    ("subject", "shown"),
    [("a\u202eb", r"a\u202eb"), ("a \u202eb\n\u3164", r"'a \u202eb\n\u3164'"), ("plain", "plain")],
)
def test_text_escapes_a_quoted_value_once(subject: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="text"))
    assert _audit_line(subject, capsys).endswith(f" subject={shown}")
