"""A confirmation becomes too old by itself, and a call that needs a fresh one waits for it."""

import asyncio

import pytest

from nightdesk.streams import confirmation
from nightdesk.streams.confirmation import Confirmation, not_demanded
from nightdesk.streams.runtime.process.boottime import boottime_s


class Clock:
    """A clock that moves only when the test moves it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_it_is_fresh_up_to_the_bound_and_not_beyond_it() -> None:
    clock = Clock()
    orders = Confirmation(5.0, clock)
    assert not orders.is_fresh(), "nothing is confirmed at first"
    orders.confirm(clock.now_s)
    clock.now_s += 5.0
    assert orders.is_fresh()
    clock.now_s += 0.001
    assert not orders.is_fresh()


def test_what_counts_is_when_the_broker_was_asked_and_an_older_answer_takes_nothing_back() -> None:
    clock = Clock()
    orders = Confirmation(5.0, clock)
    orders.confirm(clock.now_s - 2.0)
    assert orders.age_s == 2.0
    orders.confirm(clock.now_s - 4.0)
    assert orders.age_s == 2.0


def test_whoever_calls_nobody_needs_no_confirmation() -> None:
    assert not_demanded().is_fresh()


def test_its_clock_goes_forward() -> None:
    before = boottime_s()
    assert boottime_s() >= before


async def test_a_call_waits_until_it_is_confirmed_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(confirmation, "POLL_S", 0.0)
    clock = Clock()
    orders = Confirmation(5.0, clock)
    calls = [asyncio.create_task(orders.wait()) for _ in range(3)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert not any(call.done() for call in calls)
    assert caplog.text.count("no call is made") == 1, "it is said once, however many wait"
    orders.confirm(clock.now_s)
    await asyncio.gather(*calls)
    assert caplog.text.count("calls continue") == 1
