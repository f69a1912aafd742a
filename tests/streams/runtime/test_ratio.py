"""When a stage pauses: at its bounds, not because of records or one producer, and not for ever."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.streams.runtime.process.pause import Pause
from nightdesk.streams.runtime.process.ratio import FailureRatio, RatioPolicy

POLICY = RatioPolicy(at_most=0.5, of_last=200, at_least=50, first_pause_s=1.0, longest_pause_s=10.0)
NOW = 1000.0


def _after(*history: tuple[str, bool], policy: RatioPolicy = POLICY) -> FailureRatio:
    ratio = FailureRatio(policy)
    for origin, failed in history:
        if failed:
            ratio.failed_at(origin, NOW)
        else:
            ratio.done(origin)
    return ratio


@pytest.mark.parametrize(
    ("good", "failed", "paused"), [(0, 49, False), (0, 50, True), (25, 25, False), (24, 26, True), (100, 100, False)]
)
def test_at_the_bounds(good: int, failed: int, paused: bool) -> None:
    assert _after(*[("a", False)] * good, *[("a", True)] * failed).is_paused is paused


def test_what_lies_further_back_does_not_count() -> None:
    ratio = _after(*[("a", True)] * 40, *[("a", False)] * 200, *[("a", True)] * 100)
    assert (ratio.failed, ratio.records, ratio.is_paused) == (100, 200, False)
    assert ratio.failed_at("a", NOW)
    assert (ratio.failed, ratio.is_paused) == (101, True)


def test_one_origin_whose_records_all_fail_does_not_stop_the_others() -> None:
    history = [("bad", True)] * 9 + [("good", False)]
    assert not _after(*history * 40).is_paused


def test_two_origins_that_fail_are_no_accident() -> None:
    assert _after(*[("c", False)] * 20, *[("a", True), ("b", True)] * 30).is_paused


def test_a_ratio_of_one_is_never() -> None:
    assert not _after(*[("a", True)] * 1000, policy=RatioPolicy(at_most=1.0)).is_paused


def test_records_that_are_at_fault_never_pause_a_stage() -> None:
    ratio = FailureRatio(POLICY)
    for _ in range(1000):
        ratio.refused(NOW)
    assert ratio.wait_s(NOW) == 0.0


def _paused() -> FailureRatio:
    return _after(*[("a", True)] * 50)


def test_while_paused_one_record_is_let_through_after_a_pause_that_doubles() -> None:
    ratio, now, pauses = _paused(), NOW, []
    for _ in range(6):
        wait_s = ratio.wait_s(now)
        pauses.append(wait_s)
        now += wait_s
        assert ratio.wait_s(now) == 0.0
        assert ratio.wait_s(now) > 0, "one, and not a second"
        assert not ratio.failed_at("a", now), "it is paused already"
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_a_record_that_is_done_ends_the_pause_and_what_was_counted() -> None:
    ratio = _paused()
    assert ratio.done("a")
    assert (ratio.wait_s(NOW), ratio.is_paused, ratio.failed) == (0.0, False, 0)
    assert not ratio.done("a")


def test_a_refused_record_says_nothing_and_the_next_is_tried_at_once() -> None:
    """So a hundred unreadable records before a good one do not cause a hundred pauses."""
    ratio = _paused()
    for _ in range(100):
        ratio.refused(NOW)
        assert ratio.wait_s(NOW) == 0.0
    assert ratio.is_paused


def test_a_record_whose_end_nobody_tells_is_followed_by_another() -> None:
    ratio = _paused()
    assert ratio.wait_s(NOW + 1.0) == 0.0
    assert ratio.wait_s(NOW + 2.0) == 0.0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=300))
def test_it_agrees_with_a_count_of_all(history: list[tuple[str, bool]]) -> None:
    policy = RatioPolicy(of_last=20, at_least=5)
    ratio, paused, seen = FailureRatio(policy), False, list[tuple[str, bool]]()
    for origin, failed in history:
        if paused:
            break
        seen = [*seen, (origin, failed)][-policy.of_last :]
        if not failed:
            ratio.done(origin)
            continue
        counts = {one: sum(bad for name, bad in seen if name == one) for one in "abc"}
        total, most = sum(counts.values()), max(counts.values())
        worsts = [one for one in "abc" if counts[one] == most]
        verdicts = set()
        for worst in worsts:
            others = [bad for name, bad in seen if name != worst]
            verdicts.add(not others or sum(others) > policy.at_most * len(others))
        paused = ratio.failed_at(origin, NOW)
        enough = len(seen) >= policy.at_least and total > policy.at_most * len(seen)
        assert paused in ({True, False} if len(verdicts) > 1 and enough else {enough and verdicts.pop()})


async def test_the_next_record_waits_and_goes_on_when_one_in_flight_is_done() -> None:
    pause = Pause("ingest", _paused(), lambda: NOW)
    waiting = asyncio.ensure_future(pause.wait())
    await asyncio.sleep(0)
    assert pause.is_on
    assert not waiting.done()
    pause.done("a")
    await asyncio.wait_for(waiting, 60)
    assert not pause.is_on
