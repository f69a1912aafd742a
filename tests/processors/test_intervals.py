"""Lower confidence bounds are never above the estimate, and nearer to it with more observations."""

from statistics import mean, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.intervals import Z, lowest_mean, lowest_share


@pytest.mark.parametrize(
    ("bad", "of", "lowest"),
    # Wilson's interval with z = 3, computed by hand: (p + 4.5/n - 3 sqrt(p(1-p)/n + 2.25/n^2)) / (1 + 9/n).
    [(0, 10, 0.0), (1, 1, 0.1), (3, 3, 0.25), (10, 10, 10 / 19), (50, 100, 0.3563)],
)
def test_a_share_of_few(bad: int, of: int, lowest: float) -> None:
    assert lowest_share(bad, of) == pytest.approx(lowest, abs=1e-4)


@given(st.integers(1, 1000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_a_share_is_never_above_what_was_counted_and_grows_with_it(counted: tuple[int, int]) -> None:
    bad, of = counted
    assert 0.0 <= lowest_share(bad, of) <= bad / of + 1e-12
    assert lowest_share(10 * bad, 10 * of) >= lowest_share(bad, of)
    if bad < of:
        assert lowest_share(bad + 1, of) > lowest_share(bad, of)


@given(st.lists(st.integers(0, 10_000_000), min_size=2, max_size=50))
def test_a_mean_is_what_the_textbook_says(values: list[int]) -> None:
    expected = mean(values) - Z * stdev(values) / len(values) ** 0.5
    found = lowest_mean(sum(values), sum(value * value for value in values), len(values))
    assert found == pytest.approx(expected, rel=1e-6, abs=1.0)
    assert found <= mean(values) + 1e-6


def test_the_mean_of_one() -> None:
    assert lowest_mean(5, 25, 1) == 5
