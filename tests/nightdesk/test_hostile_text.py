"""Each command that prints text from others, with hostile text in every field: none of it takes effect in the
terminal.
"""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from rich.cells import cell_len

from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.orders import give_orders
from nightdesk.output import Output, print_rows
from nightdesk.schemas.approval_details import ApprovalRequestDetail
from nightdesk.schemas.audit import DecisionDetail
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import AuditRecord, ControlCommand, Event, Fallback, Verdict
from nightdesk.settings import Settings
from tests.nightdesk.command_line import CommandLine
from tests.nightdesk.hostile_text import EVERYTHING, HOSTILE, obeyed
from tests.nightdesk.letters import START, DlqWriter
from tests.sinks.records import acted, at, decided, land, of_case, outcome, record

# In a field of its own a text is UTF-8; a lone surrogate comes in JSON, as an escape.
FIELD = EVERYTHING.encode(errors="ignore").decode()
SUBJECT = "vip[red]-1\x1b[2J"


@pytest.fixture
def hostile_audit(client: Client) -> None:
    """Hostile text in every field of every kind of audit record, and of an approval that waits."""
    case = {**of_case(), "subject": SUBJECT, "event_type": FIELD, "event_source": FIELD, "reason": FIELD}
    asked = ApprovalRequestDetail(
        parameters=json.dumps({FIELD: FIELD}), reasoning=FIELD, expires_at=at(9), payload_sha256="0" * 64
    )
    decision = decided(1).decision_id
    failed = outcome(0, "failed", error=FIELD, result=json.dumps(EVERYTHING))
    told = DecisionDetail(
        kind="respond",
        parameters=json.dumps({FIELD: EVERYTHING}),
        reasoning=FIELD,
        verdicts=(Verdict(rule=FIELD, passed=False, reason=FIELD),),
        fallbacks=(Fallback(provider=FIELD, reason=FIELD),),
        disposition_reason=FIELD,
    )
    land(
        client,
        record("received", 0, {"data": json.dumps({"text": EVERYTHING}), "time": at(-5).isoformat()}, **case),
        _decided(told.model_dump_json()),
        # Of another shape than a stage writes: anyone who may write to the topic can do that.
        _decided(json.dumps({"kind": EVERYTHING, "reasoning": EVERYTHING}), step=1),
        record("approval", 1.5, {"verdict": "asked", "reasoning": 7}, decision_id=decision, **case),
        record("approval", 2, asked, decision_id=decision, action=FIELD, status="needs_approval", **case),
        acted(3, "failed", outcomes=[failed], subject=SUBJECT),
        record("queued", 4, {}, status="waiting", **case),
        record(
            "control",
            5,
            {"order": "pause", "issued_by": EVERYTHING},
            agent=of_case()["agent"],
            reason=FIELD,
            subject=FIELD,
        ),
    )


def _decided(detail: str, step: int = 0) -> AuditRecord:
    return decided(1 + step, step, subject=SUBJECT, action=FIELD, model=FIELD).model_copy(update={"detail": detail})


@pytest.fixture
def hostile_topics(topics: Settings) -> Iterator[Codec]:
    """An order and dead letters with hostile text, one of which can be read."""
    order = ControlCommand(
        key="desk", kind="pause", agent="desk", reason=FIELD, issued_by=FIELD, time=datetime.now(UTC)
    )
    give_orders(topics, [order])
    with registered_codec(topics) as codec:
        send_to_dlq = DlqWriter(topics, codec)
        send_to_dlq(FIELD.encode(), key=FIELD.encode(), headers=((FIELD, FIELD.encode()),))
        send_to_dlq(
            codec.encode(Event(id=FIELD, source=FIELD, type=FIELD, subject=SUBJECT, time=START, data=FIELD)), b"k"
        )
        yield codec


AUDIT_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("approvals", "list"),
    ("approvals", "list", "-o", "json"),
    ("approvals", "show", decided(1).decision_id or ""),
    ("why", SUBJECT),
    ("why", SUBJECT, "-o", "json"),
    ("why", FIELD),
    ("sql", "SELECT * FROM records"),
    ("sql", "SELECT * FROM records", "-o", "json"),
    ("sql", "SELECT 1 AS `[/quote]\x1b[2J`"),
    ("sql", "SELECT throwIf(1, '\x1b[2J [/quote]')"),
)
TOPIC_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("dlq", "list"),
    ("dlq", "list", "-o", "json"),
    ("dlq", "discard", "--all", "--dry-run", "--reason", FIELD),
    ("dlq", "show", "0" * 36 + "\x1b[2J"),
    ("status",),
    ("status", "-o", "json"),
    ("pause", "[/quote]\x1b[2J"),
)


@pytest.mark.usefixtures("hostile_audit")
@pytest.mark.parametrize("columns", ["80", ""])
def test_commands_that_read_the_audit(nightdesk: CommandLine, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS", raising=False)
    for command in AUDIT_COMMANDS:
        _check(nightdesk, command)
    assert "vip[red]-1" in nightdesk("approvals", "list").out
    [waiting] = nightdesk("approvals", "list", "-o", "json").json()
    assert waiting["parameters"] == {FIELD: FIELD}
    assert (waiting["subject"], waiting["action"]) == (SUBJECT, FIELD)


@pytest.mark.usefixtures("hostile_topics")
@pytest.mark.parametrize("columns", ["80", ""])
def test_commands_that_read_topics(nightdesk: CommandLine, columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns) if columns else monkeypatch.delenv("COLUMNS", raising=False)
    for command in TOPIC_COMMANDS:
        _check(nightdesk, command)
    for letter in nightdesk("dlq", "list", "-o", "json").json():
        _check(nightdesk, ("dlq", "show", letter["dead_letter_id"]))
        _check(nightdesk, ("dlq", "show", letter["dead_letter_id"], "-o", "json"))
    assert "vip[red]-1" in nightdesk("dlq", "list").out


def _check(nightdesk: CommandLine, command: tuple[str, ...]) -> None:
    result = nightdesk(*command)
    assert result.code in (0, 1, 2, 3), (command, result)
    assert result.out or result.err
    assert not obeyed(result.out + result.err), command
    if "json" in command:
        result.json()


def test_lines_of_a_file_that_cannot_be_sent(nightdesk: CommandLine, topics: Settings) -> None:
    line = json.dumps({"subject": "s", "type": "t", FIELD: 1})
    _check(nightdesk, ("produce", "no\x1b[2J.jsonl"))
    result = nightdesk("produce", "-", stdin=line.encode())
    assert (result.code, obeyed(result.out + result.err)) == (1, [])


def test_a_charter_with_problems(nightdesk: CommandLine, tmp_path: Any) -> None:
    file = tmp_path / "charter.yaml"
    file.write_text(json.dumps({"agent": FIELD, EVERYTHING: 1, "on": [{"type": FIELD, "when": FIELD}]}))
    result = nightdesk("charter", "check", str(file))
    assert (result.code, obeyed(result.out)) == (1, [])


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_table_keeps_its_width_and_its_lines(
    text: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": "1", "subject": text, text: "3", "why": text}, {"id": "2", "subject": "x", text: "4", "why": "z"}]
    monkeypatch.setenv("COLUMNS", "80")
    print_rows(rows, Output.text)
    narrow = capsys.readouterr().out
    assert max(map(cell_len, narrow.splitlines())) <= 80
    assert not obeyed(narrow)
    monkeypatch.delenv("COLUMNS")
    print_rows(rows, Output.text)
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(rows)


def test_on_a_real_terminal(hostile_audit: None, nightdesk: CommandLine) -> None:
    """What rich and Python write to a terminal: our colours, and no effect of the hostile text."""
    for command in (("approvals", "list"), ("sql", "SELECT subject, reason FROM records", "-o", "csv")):
        shown = _on_a_terminal(command)
        assert "vip[red]-1\\x1b[2J" in shown
        assert not set(obeyed(shown.replace("\r\n", "\n").replace("\x1b[1m", "").replace("\x1b[0m", "")))


def _on_a_terminal(command: tuple[str, ...]) -> str:
    """What the command writes to a terminal of 200 columns."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "200", "PYTHONWARNINGS": "ignore"}
    arguments = [sys.executable, "-m", "nightdesk", *command]
    with subprocess.Popen(arguments, stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
    os.close(ours)
    return shown.decode()
