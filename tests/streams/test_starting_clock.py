"""A worker whose clock is wrong when it starts does nothing before the clock is right."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from nightdesk import bootstrap
from nightdesk.bootstrap import worker_policy
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.schemas import register_schemas
from nightdesk.operations.topics import apply_topics
from nightdesk.operations.workers import read_workers
from nightdesk.settings import Settings
from nightdesk.streams import starting_clock
from nightdesk.streams.broker_clock import BrokerClock
from nightdesk.streams.identity import Identity
from nightdesk.streams.runtime.process.confirmed_clock import ConfirmedClock
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from nightdesk.streams.starting_clock import WAIT_S, Answer, confirm_clock, wait_until_right

DAY_S = 86_400
RIGHT = Answer(0.0, BrokerClock(12.0, 10.0))
STAMPS_NONE = Answer(0.0, None)


class Ended(Exception):
    """The process would have exited with this code."""


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_stop(code: ExitCode, reason: str) -> None:
        raise Ended(code, reason)

    monkeypatch.setattr(starting_clock, "fail_stop", fail_stop)


class Broker:
    """Its answers, one after another; the last one again and again. Time passes only in sleep."""

    def __init__(self, *answers: Answer | None) -> None:
        self.answers = list(answers)
        self.known: list[BrokerClock | None] = []
        self.now_s = 0.0

    def ask(self, known: BrokerClock | None) -> Answer | None:
        self.known.append(known)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def wait(self) -> Answer:
        return wait_until_right(self.ask, lambda: self.now_s, self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def off(days: float) -> Answer:
    return Answer(0.0, BrokerClock(days * DAY_S * 1000.0, 10.0))


@pytest.mark.parametrize("answer", [RIGHT, STAMPS_NONE, Answer(0.0, BrokerClock(60_000.0, 0.0))])
def test_a_clock_that_agrees_holds_nobody_back(answer: Answer) -> None:
    broker = Broker(answer)
    assert broker.wait() == answer
    assert (broker.now_s, broker.known) == (0.0, [None])


@pytest.mark.parametrize("days", [-31, -3, 3, 400])
def test_a_wrong_clock_is_waited_for_and_reported(days: int) -> None:
    broker = Broker(None, off(days), off(days), RIGHT)
    assert broker.wait() == RIGHT
    assert broker.known == [None, None, off(days).clock, off(days).clock]


@pytest.mark.usefixtures("ends")
@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (off(3), ExitCode.CLOCK_WRONG, "this machine's clock is 259200.0 s behind the broker's"),
        (off(-3), ExitCode.CLOCK_WRONG, "this machine's clock is 259200.0 s ahead of the broker's"),
        (Answer(0.0, BrokerClock(60_011.0, 10.0)), ExitCode.CLOCK_WRONG, "60.0 s behind"),
        (None, ExitCode.UNAVAILABLE, "cannot be compared"),
    ],
)
def test_who_does_not_agree_in_time_ends_and_says_why(answer: Answer | None, code: ExitCode, words: str) -> None:
    broker = Broker(answer)
    with pytest.raises(Ended, match=words) as ended:
        broker.wait()
    assert ended.value.args[0] is code
    assert broker.now_s == WAIT_S


@pytest.fixture
def settings(stack_settings: Settings) -> Settings:
    apply_topics(stack_settings.kafka)
    register_schemas(stack_settings)
    return stack_settings


class SetClock:
    """A wall clock that a test sets."""

    def __init__(self, behind: timedelta) -> None:
        self.behind = behind

    def now(self) -> datetime:
        return datetime.now(UTC) - self.behind

    def seconds(self) -> float:
        return self.now().timestamp()


def test_a_worker_that_starts_with_its_clock_days_behind_does_nothing_until_it_is_set(settings: Settings) -> None:
    """The broker's own stamps say so."""
    clock = SetClock(timedelta(days=3))
    policy = replace(worker_policy(settings), clock=clock.now, confirmed_clock=ConfirmedClock(clock.seconds))
    with registered_codec(settings) as codec:
        thread = threading.Thread(target=confirm_clock, args=(Identity("timers", "t-0"), policy, codec), daemon=True)
        thread.start()
        known = None
        while known is None:
            known = next((each.report.clock_offset_ms for each in read_workers(settings)), None)
        assert known == pytest.approx(3 * DAY_S * 1000, abs=60_000)
        assert [each.report.state for each in read_workers(settings)] == ["not_ready"]
        assert thread.is_alive()
        clock.behind = timedelta(0)
        thread.join(WAIT_S)
    assert not thread.is_alive()
    assert policy.confirmed_clock.may_expire()
    clock.behind = timedelta(days=-3)
    assert not policy.confirmed_clock.may_expire(), "the comparison counts from the start"


def test_the_clock_is_compared_before_orders_are_read_and_before_anything_is_built(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compared(me: Identity, *_: object) -> None:
        raise Ended(me.stage)

    def too_early(*_: object) -> None:
        pytest.fail("the clock is not compared yet")

    monkeypatch.setattr(bootstrap, "confirm_clock", compared)
    monkeypatch.setattr(bootstrap, "ClockWatch", lambda: SimpleNamespace(start=lambda: None))
    monkeypatch.setattr("nightdesk.bootstrap.mode.loop.use", lambda _loop: None)
    for name in ("follow_control", "build_handlers", "StageWorker", "WorkerReports"):
        monkeypatch.setattr(bootstrap, name, too_early)
    with pytest.raises(Ended, match="timers"):
        bootstrap.run_stage("timers", settings)
