"""What `status` prints for people, without a broker."""

from __future__ import annotations

import pytest

from nightdesk.commands.status import _print
from nightdesk.operations.status import Status
from nightdesk.settings import Settings
from nightdesk.sinks.story import Halt
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
