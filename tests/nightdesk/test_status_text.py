"""What `status` prints for people, without a broker."""

from __future__ import annotations

import pytest

from nightdesk.commands.status import _print
from nightdesk.operations.status import Status
from nightdesk.operations.workers import Worker
from nightdesk.settings import Settings
from nightdesk.sinks.story import Halt
from nightdesk.streams.identity import Identity
from tests.processors.examples import NOW


def test_each_trouble_stands_alone_before_the_stages(capsys: pytest.CaptureFixture[str]) -> None:
    halts = [Halt(agent=agent, order="pause", issued_by="ada", reason="", since=NOW) for agent in ("desk-1", "desk-2")]
    found = Status(
        stages={},
        workers=None,
        halts=halts,
        held_back=[],
        waiting=[],
        letters=[],
        transactions=[],
        last_day={"failed": 1},
    )
    _print(Settings(), found)
    lines = capsys.readouterr().out.splitlines()
    for agent in ("desk-1", "desk-2"):
        [place] = [number for number, line in enumerate(lines) if agent in line]
        assert (lines[place - 1], lines[place + 1]) == ("", "")
    assert lines[-1] == "in the last day 1 failed: see `nightdesk cases list --status failed,rejected`"


def test_what_cannot_be_read_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    found = Status(
        stages={},
        workers=None,
        halts=None,
        held_back=None,
        waiting=None,
        letters=None,
        transactions=[],
        last_day={},
        away=None,
        routes=None,
    )
    _print(Settings(), found)
    told = [line for line in capsys.readouterr().out.splitlines() if "cannot be read" in line]
    parts = ("orders", "workers' reports", "held back", "waiting steps", "dead letters", "systems", "routes")
    assert len(told) == len(parts)
    assert all(part in line for part, line in zip(parts, told, strict=True))


def test_an_installation_without_a_charter_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """As after somebody has deleted `control`, with all stages running and without lag."""
    for takes_events, lines in ((True, 0), (False, 1), (None, 0)):
        found = Status(
            stages={},
            workers=[],
            halts=[],
            held_back=[],
            waiting=[],
            letters=[],
            transactions=[],
            last_day={},
            takes_events=takes_events,
        )
        _print(Settings(), found)
        assert capsys.readouterr().out.count("no charter is promoted, so every event is ignored") == lines


def test_a_worker_whose_report_cannot_be_read_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    report = Identity("act", "act-0").report("not_ready", NOW)
    workers = [Worker(report, NOW, is_silent=True, unreadable="no schema \x1b[2J")]
    found = Status(
        stages={}, workers=workers, halts=[], held_back=[], waiting=[], letters=[], transactions=[], last_day={}
    )
    _print(Settings(), found)
    told = capsys.readouterr().out
    assert "the last report of act/act-0 on `workers` cannot be read" in told
    assert "unreadable" in told
    assert "\x1b" not in told


@pytest.mark.parametrize(("last_day", "said"), [(None, "ClickHouse does not answer"), ({"failed": 0}, "")])
def test_what_cannot_be_counted_is_told_and_nothing_is_not(
    last_day: dict[str, int] | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Status(
        stages={}, workers=None, halts=[], held_back=[], waiting=[], letters=[], transactions=[], last_day=last_day
    )
    _print(Settings(), found)
    told = capsys.readouterr().out
    assert said in told
    assert "in the last day" not in told
