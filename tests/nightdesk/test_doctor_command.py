"""What `nightdesk doctor` makes of its findings; what it finds is in `tests/operations/test_doctor.py`."""

import pytest

from nightdesk.commands import doctor as command
from nightdesk.messaging.failures import FailureKind
from nightdesk.operations.doctor import Finding
from nightdesk.settings import load_settings
from tests.nightdesk.command_line import CommandLine

WELL = Finding("settings", "complete")
AWAY = Finding("kafka", "does not answer", FailureKind.UNREACHABLE)
NOT_MADE = Finding("topics", "two are missing", FailureKind.NOT_READY)


@pytest.fixture
def nightdesk(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(load_settings(), monkeypatch, capsys)


@pytest.mark.parametrize(
    ("findings", "exit_code"),
    [([WELL], 0), ([WELL, AWAY], 4), ([AWAY, NOT_MADE, WELL], 5), ([NOT_MADE, AWAY], 5)],
)
def test_the_exit_code_is_that_of_the_worst_finding_and_each_is_shown(
    findings: list[Finding], exit_code: int, nightdesk: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "diagnose", lambda *_: findings)
    ended = nightdesk("doctor", "--output", "json")
    assert ended.code == exit_code
    assert [(row["check"], row["state"], row["detail"]) for row in ended.json()] == [
        (finding.check, "ok" if finding is WELL else "bad", finding.detail) for finding in findings
    ]


def test_a_warning_is_shown_and_ends_well(nightdesk: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "diagnose", lambda *_: [WELL, Finding("clickhouse users", "shared", warns=True)])
    ended = nightdesk("doctor", "--output", "json")
    assert (ended.code, [row["state"] for row in ended.json()]) == (0, ["ok", "warning"])
