"""Lists are readable at 80 columns; through a pipe a row is a line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from nightdesk.commands import approvals, budget, dlq_text
from nightdesk.operations.balances import ScopeBalance
from nightdesk.operations.dead_letters.reading import Letter
from nightdesk.output import Output, print_rows, without_silent
from nightdesk.schemas.records import DeadLetter, DeadLetterEnd
from nightdesk.sinks.approvals import Waiting

NOW = datetime(2026, 11, 23, 7, 58, tzinfo=UTC)
ID = "5f0b2c9e-41aa-5c1e-9d3c-1f0a4f6c2b11"
MESSAGE = "first byte is 123, not 0: produce Avro in Confluent wire format"
WAITING = Waiting(
    ID, "ticket-1002", "support-triage", "refund", {"amount": 39.9, "reason": "Charged twice"}, "", 0.95,
    "refund always needs approval", NOW, NOW, "",
)  # fmt: skip
PURSE = ScopeBalance(
    "support-triage",
    "2026-11-23",
    "UTC",
    "event:ticket.followup",
    12_345_678,
    1_500_000,
    178_008,
    1,
    25_000_000,
    81_000,
    9,
)


def letter(**changes: Any) -> Letter:
    about: dict[str, Any] = {"dead_letter_id": ID, "stage": "ingest", "topic": "ingest", "partition": 1, "offset": 1}
    about |= {"time": NOW, "subject": "bank-ticket-12", "attempted": "", "error": "Undecodable", "message": MESSAGE}
    about |= {"attempts": 1, "timestamp_ms": 0, "traceback": "", "program_version": "0.1.0", **changes}
    return Letter(DeadLetter.model_validate(about), ("ingest.dlq", 1, 1), 9)


def printed(rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> list[str]:
    print_rows(rows, Output.text)
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


TABLES = {
    "dlq list": (dlq_text.lines([letter()]), [ID[:13], "11-23 07:58", "ingest", "bank-ticket-12", "Undecodable:"], 4),
    "approvals list": (approvals._lines([WAITING]), [ID[:13], "11-23 07:58", "ticket-1002", "refund", "always"], 4),
    "budget show": (
        budget._lines([PURSE]),
        ["event:ticket.followup", "$12.345678", "$1.50", "$0.178008", "$0.000001", "$25.00", "81000"],
        1,
    ),
    "budget show, of two agents": (
        budget._lines([PURSE, replace(PURSE, agent="desk")]),
        ["support-triage", "$12.345678", "$1.50", "$0.178008", "$0.000001", "$25.00", "81000"],
        10,
    ),
}


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("rows", "whole", "height"), TABLES.values(), ids=TABLES.keys())
def test_at_80_columns_no_word_that_matters_is_broken(
    rows: list[dict[str, Any]], whole: list[str], height: int, capsys: pytest.CaptureFixture[str]
) -> None:
    _, *lines = printed(rows, capsys)
    assert max(map(len, lines)) <= 80
    assert len(lines) <= height
    for word in whole:
        assert any(word in line for line in lines), word


@pytest.mark.parametrize("rows", [rows for rows, _, _ in TABLES.values()], ids=TABLES.keys())
def test_through_a_pipe_a_row_is_a_line(
    rows: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert len(printed(rows, capsys)) == 1 + len(rows)


def test_a_letter_says_what_is_unusual_about_it() -> None:
    usual, other = letter(), letter(attempts=2)
    end = DeadLetterEnd(dead_letter_id=ID, verdict="discarded", person="ada", reason="", time=NOW)
    assert list(dlq_text.lines([usual])[0]) == ["id", "time", "stage", "subject", "why"]
    assert [row["tries"] for row in dlq_text.lines([usual, other])] == [1, 2]
    assert [row["state"] for row in dlq_text.lines([usual, replace(usual, end=end)])] == ["open", "discarded"]
    assert [row["waiting"] for row in dlq_text.lines([usual, replace(usual, waiting=3)])] == ["", 3]


def test_only_what_is_silent_in_every_row_is_left_out() -> None:
    assert without_silent([], {"a": 0}) == []
    assert without_silent([{"a": 0, "b": 0}, {"a": 0, "b": 1}], {"a": 0, "b": 0}) == [{"b": 0}, {"b": 1}]
