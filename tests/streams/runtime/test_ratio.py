"""The share of dead letters is exact, at its bounds and for every history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.ratio import DeadLetterRatio, RatioPolicy

POLICY = RatioPolicy(at_most=0.5, of_last=200, at_least=50)


def _after(*history: bool, policy: RatioPolicy = POLICY) -> DeadLetterRatio:
    ratio = DeadLetterRatio(policy)
    for is_dead in history:
        ratio.count(is_dead)
    return ratio


@pytest.mark.parametrize(
    ("dead", "good", "too_high"),
    [
        (49, 0, False),
        (50, 0, True),
        (25, 25, False),
        (26, 24, True),
        (26, 25, True),
        (26, 26, False),
        (100, 100, False),
        (101, 99, True),
        (0, 200, False),
    ],
)
@pytest.mark.parametrize("dead_first", [True, False])
def test_at_the_bounds(dead: int, good: int, too_high: bool, dead_first: bool) -> None:
    history = (True,) * dead + (False,) * good
    assert _after(*(history if dead_first else history[::-1])).is_too_high is too_high


def test_what_lies_further_back_does_not_count() -> None:
    ratio = _after(*(True,) * 100, *(False,) * 100)
    assert (ratio.dead, ratio.records, ratio.is_too_high) == (100, 200, False)
    for _ in range(100):
        ratio.count(True)
    assert (ratio.dead, ratio.records, ratio.is_too_high) == (100, 200, False)
    ratio.count(True)
    assert (ratio.dead, ratio.records, ratio.is_too_high) == (101, 200, True)


def test_a_ratio_of_one_stops_nothing() -> None:
    assert not _after(*(True,) * 1000, policy=RatioPolicy(at_most=1.0)).is_too_high


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 12), st.integers(1, 12), st.sampled_from([0.0, 0.25, 0.5]))
def test_it_is_the_share_of_the_last_ones(history: list[bool], last: int, at_least: int, at_most: float) -> None:
    ratio = _after(*history, policy=RatioPolicy(at_most, last, at_least))
    seen = history[-last:]
    assert (ratio.dead, ratio.records) == (sum(seen), len(seen))
    assert ratio.is_too_high == (len(seen) >= at_least and sum(seen) / max(1, len(seen)) > at_most)
