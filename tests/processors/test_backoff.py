"""Retries are spread, and the same retry is always due at the same time."""

from statistics import mean

from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.backoff import LONGEST_S, delay_s, spread


@given(st.text(), st.integers(1, 50))
def test_a_delay_is_between_half_of_the_longest_and_all_of_it(cause: str, attempt: int) -> None:
    longest_s = LONGEST_S[min(attempt, len(LONGEST_S)) - 1]
    assert longest_s / 2 <= delay_s(cause, attempt) < longest_s
    assert delay_s(cause, attempt) == delay_s(cause, attempt)


def test_what_failed_together_does_not_come_back_together() -> None:
    spreads = [spread(f"step-{number}") for number in range(1000)]
    tenths = [sum(int(each * 10) == tenth for each in spreads) for tenth in range(10)]
    assert min(tenths) > 60
    assert 0.45 < mean(spreads) < 0.55


def test_the_same_cause_gives_the_same_delay_on_every_machine() -> None:
    assert round(delay_s("step-1:1", 1), 6) == 3.191752
