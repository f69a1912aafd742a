"""A process whose wall clock is set back ends at once; other changes of clocks do not concern it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nightdesk.streams.runtime.process import clock_watch
from nightdesk.streams.runtime.process.clock_watch import REMEMBERED_S, SET_BACK_S, ClockSteps, ClockWatch
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.own_clock import clock_environment, set_clock

NOON_S = 1_800_000_000.0
HOUR_S = 3600.0
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("steps", "set_back_s"),
    [
        pytest.param([(10, 10)], 0, id="both go on"),
        pytest.param([(10 + HOUR_S, 10)], 0, id="set ahead"),
        pytest.param([(10 - HOUR_S, 10)], HOUR_S, id="set back"),
        pytest.param([(HOUR_S, 1), (2, 2)], HOUR_S - 1, id="set ahead and right again"),
        pytest.param([(1 - HOUR_S, 1), (2, 2)], 0, id="set back and right again"),
        pytest.param([(-9, 1), (-18, 2), (-27, 3)], 30, id="small steps add up"),
        pytest.param([(9 * HOUR_S, 9 * HOUR_S)], 0, id="the machine was suspended"),
        pytest.param([(REMEMBERED_S - 25, REMEMBERED_S)], 25, id="a step is remembered for a period"),
        pytest.param(
            [(-20, 0), (REMEMBERED_S - 20, REMEMBERED_S), (2 * REMEMBERED_S - 39, 2 * REMEMBERED_S)],
            19,
            id="and after two its wait is over",
        ),
    ],
)
def test_how_far_the_clock_was_set_back(steps: list[tuple[float, float]], set_back_s: float) -> None:
    """Each step is what the wall clock and the steady clock have advanced since the first look."""
    seen = ClockSteps()
    assert seen.see(NOON_S, 5.0) == 0
    for wall_s, steady_s in steps:
        last = seen.see(NOON_S + wall_s, 5.0 + steady_s)
    assert last == pytest.approx(set_back_s, abs=1e-3)


class Ended(Exception):
    """Raised instead of ending the process."""


@pytest.mark.parametrize(("back_s", "ends"), [(SET_BACK_S - 1, False), (SET_BACK_S, True)])
def test_it_ends_at_the_limit(monkeypatch: pytest.MonkeyPatch, back_s: float, ends: bool) -> None:
    def end(code: ExitCode, reason: str) -> None:
        assert code is ExitCode.CLOCK_SET_BACK
        assert f"set back by {back_s:.0f} s" in reason
        raise Ended

    monkeypatch.setattr(clock_watch, "fail_stop", end)
    clock = [NOON_S]
    watch = ClockWatch(lambda: clock[0], lambda: 5.0)
    watch.look()
    clock[0] -= back_s
    if ends:
        with pytest.raises(Ended):
            watch.look()
    else:
        watch.look()


def test_a_process_that_stood_still_between_the_two_clocks_reads_them_again() -> None:
    """It stood still for a minute; its clocks are right."""
    steady = iter([0.0, 0.0, 1.0, 61.0, 61.0, 61.0, 62.0, 62.0])
    wall = iter([NOON_S, NOON_S + 61, NOON_S + 61, NOON_S + 62])
    watch = ClockWatch(lambda: next(wall), lambda: next(steady))
    for _ in range(3):
        watch.look()
    assert list(steady) == []


@pytest.fixture
def silent_broker() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


WAITS_FOR_A_BROKER = {
    "worker": """
from nightdesk.bootstrap import run_stage
run_stage("act", load_settings())
""",
    "sink": """
from contextlib import nullcontext
from nightdesk.commands import sink
sink.registered_codec = lambda _settings: nullcontext()
sink.check_installation = lambda _settings, _name: None
sink.sink()
""",
}


@pytest.mark.parametrize("waits", WAITS_FOR_A_BROKER)
def test_a_process_that_waits_for_its_broker_ends_when_its_clock_is_set_back(
    waits: str, silent_broker: int, tmp_path: Path
) -> None:
    clock = tmp_path / "clock"
    set_clock(clock, int(HOUR_S))
    program = f"""
from nightdesk.settings import load_settings
from nightdesk.streams.runtime.process.clock_watch import ClockWatch
watch = ClockWatch._watch
ClockWatch._watch = lambda self: (print("watches", flush=True), watch(self))
{WAITS_FOR_A_BROKER[waits]}
"""
    told = {
        "NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{silent_broker}",
        "NIGHTDESK_CLICKHOUSE__URL": "http://127.0.0.1:9/nightdesk",
        **clock_environment(clock),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, **told}, stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "watches\n"
            set_clock(clock, 0)
            assert process.wait(30) == ExitCode.CLOCK_SET_BACK
        finally:
            process.kill()
