"""A process without progress ends if work waits, and only then."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from confluent_kafka import KafkaException

from nightdesk.streams.runtime.process import liveness
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from nightdesk.streams.runtime.process.liveness import FreezeGuard, Watchdog

PLACE = ("t.act", 0)
ROUNDS = 20
LIMIT_S = 3 * Watchdog.INTERVAL_S


class Log:
    """A broker whose log ends at `end`, or that cannot be reached; or a client that `hangs`."""

    def __init__(self, end: int = 5, *, away: bool = False, hangs: bool = False) -> None:
        self.end = end
        self.away = away
        self.hangs = hangs

    def get_watermark_offsets(self, _place: Any, **_: float) -> tuple[int, int]:
        self.list_topics()
        return 0, self.end

    def list_topics(self, **_: float) -> None:
        if self.hangs:
            threading.Event().wait()
        if self.away:
            raise KafkaException


class Rounds:
    """So many rounds, without waiting."""

    def __init__(self) -> None:
        self.left = ROUNDS

    def wait(self, _interval_s: float) -> bool:
        self.left -= 1
        return self.left < 0


class Ended(Exception):
    """Raised instead of ending the process."""


def _ends(
    monkeypatch: pytest.MonkeyPatch,
    log: Log,
    *,
    position: int = 5,
    busy: bool = False,
    moves: bool = False,
    limit_s: float = LIMIT_S,
) -> int | None:
    """After how many rounds it ends, if it does."""

    def end(code: ExitCode, _reason: str) -> None:
        assert code is ExitCode.NO_PROGRESS
        raise Ended

    monkeypatch.setattr(liveness, "fail_stop", end)
    monkeypatch.setattr(liveness, "new_reader", lambda _config, _name: log)
    rounds = Rounds()
    progress = (lambda: rounds.left) if moves else (lambda: 0)
    watchdog = Watchdog({}, lambda: limit_s, progress, lambda: busy, lambda: {PLACE: position})
    watchdog._stopped = rounds  # type: ignore[assignment]
    try:
        watchdog._watch()
    except Ended:
        return ROUNDS - rounds.left
    return None


def test_an_idle_stage_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ends(monkeypatch, Log(end=5), position=5) is None


def test_a_stage_that_is_behind_and_stands_still_ends_at_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ends(monkeypatch, Log(end=6), position=5) == 3


def test_a_stage_with_work_in_its_hands_that_stands_still_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ends(monkeypatch, Log(end=5), position=5, busy=True) == 3


def test_whatever_moves_is_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ends(monkeypatch, Log(end=6), position=5, busy=True, moves=True) is None


def test_while_the_broker_is_away_nobody_is_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _ends(monkeypatch, Log(end=6, away=True), position=5, busy=True) is None


def test_a_client_that_never_comes_back_from_a_question_ends_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits by the wall clock, which was ahead when the wait began and was set back."""
    assert _ends(monkeypatch, Log(hangs=True), busy=True, limit_s=0.1) == 1


@pytest.mark.parametrize(("silent_s", "ends"), [(7.4, False), (7.5, False), (7.6, True)])
def test_a_loop_that_is_blocked_for_longer_than_a_lease_ends_its_process(
    silent_s: float, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes: list[ExitCode] = []
    now = [1024.0]
    monkeypatch.setattr(liveness, "fail_stop", lambda code, _reason: codes.append(code))
    monkeypatch.setattr(liveness, "boottime_s", lambda: now[0])
    guard = FreezeGuard(7.5)
    now[0] += silent_s
    guard.check()
    assert codes == [ExitCode.FROZEN] * ends
