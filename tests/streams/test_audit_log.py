"""One line for each decision, action, refusal and failure: with the ids to follow it by, and with no text of others."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from nightdesk.logs import configure_logging
from nightdesk.schemas.records import AuditRecord
from nightdesk.settings_sections import LogSettings
from nightdesk.streams.audit_log import AUDIT_LOGGER, log_records
from tests.streams.audit_samples import MARK, TRACE_ID, answered, audit_record, dead_lettered, decided

LOGGED = (
    decided(),
    answered(),
    audit_record("acted", "completed", json.dumps({"outcomes": MARK})),
    audit_record("refused", "refused"),
    audit_record("rejected", "failed", json.dumps({"data": MARK})),
    dead_lettered(),
)
FORMATS: tuple[Literal["json", "text"], ...] = ("json", "text")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, audit = logging.getLogger(), logging.getLogger(AUDIT_LOGGER)
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    audit.handlers[:], audit.propagate = [], True


def lines(capsys: pytest.CaptureFixture[str], form: Literal["json", "text"], *records: AuditRecord) -> list[str]:
    configure_logging(LogSettings(format=form))
    log_records(records)
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("form", FORMATS)
def test_a_ticket_is_found_by_each_of_its_ids(
    capsys: pytest.CaptureFixture[str], form: Literal["json", "text"]
) -> None:
    found = lines(capsys, form, *LOGGED)
    assert len(found) == len(LOGGED)
    for name in ("ticket-7", "event-7", "case-7", "decision-7", TRACE_ID, "desk"):
        assert all(name in line for line in found), name
    assert not [line for line in found if MARK in line], "a text that others wrote is in the log"


def test_a_line_for_machines_has_the_shape_of_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json"))
    logging.getLogger("ours").info("hello")
    log_records([decided(), dead_lettered()])
    other, decision, failure = map(json.loads, capsys.readouterr().err.splitlines())
    assert set(other) <= set(decision)
    assert (decision["event"], decision["level"], decision["logger"]) == ("decided", "info", AUDIT_LOGGER)
    assert decision["timestamp"][:11] == other["timestamp"][:11]
    assert decision["timestamp"].endswith("Z")
    assert (decision["action"], decision["disposition"], decision["cost_microusd"]) == ("refund", "execute", 2500)
    assert (failure["event"], failure["level"], failure["error"]) == ("dead_letter", "warning", "ValueError")


@pytest.mark.parametrize("form", FORMATS)
def test_a_subject_that_looks_like_another_line_stays_in_its_own(
    capsys: pytest.CaptureFixture[str], form: Literal["json", "text"]
) -> None:
    hostile = "ticket-7\n2026-11-29T00:00:00Z [info] acted status=completed \x1b[2J"
    [line] = lines(capsys, form, audit_record("acted", "completed", subject=hostile))
    assert "\x1b" not in line


def test_what_only_waits_or_begins_is_not_logged(capsys: pytest.CaptureFixture[str]) -> None:
    waiting = [audit_record(kind, "waiting") for kind in ("received", "ignored", "deferred", "queued", "parked")]
    assert lines(capsys, "json", *waiting) == []


def test_a_higher_level_leaves_them_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LogSettings(format="json", level="warning"))
    log_records([decided(), dead_lettered()])
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "dead_letter"
