"""What may be committed: the longest finished prefix, in whatever order records finish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.streams.runtime.consuming.offset_tracker import LogComparison, OffsetRelation, OffsetTracker, compare


def _accepted(start: int, count: int) -> OffsetTracker:
    position = OffsetTracker(start)
    for offset in range(start, start + count):
        position.accept(offset)
    return position


@given(start=st.integers(0, 10**12), data=st.data())
def test_only_the_longest_finished_prefix_may_be_committed(start: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 40))
    position = _accepted(start, count)
    finished: set[int] = set()
    for offset in data.draw(st.permutations(range(start, start + count))):
        position.finish(offset)
        finished.add(offset)
        unfinished = [place for place in range(start, start + count) if place not in finished]
        assert position.committable == min(unfinished, default=start + count)
        assert position.in_flight == start + count - position.committable


@given(start=st.integers(0, 1000), count=st.integers(0, 20), offset=st.integers(0, 1100))
def test_an_offset_is_next_seen_or_behind_a_gap(start: int, count: int, offset: int) -> None:
    position = _accepted(start, count)
    arrival = position.judge(offset)
    expected = start + count
    assert (arrival is OffsetRelation.NEXT) == (offset == expected)
    assert (arrival is OffsetRelation.SEEN) == (offset < expected)
    assert (arrival is OffsetRelation.GAP) == (offset > expected)
    assert position.expected == expected, "to judge changes nothing"


@given(start=st.integers(0, 100), open_records=st.integers(0, 5), gap=st.integers(1, 50))
def test_a_hole_is_passed_over_but_never_what_lies_before_it(start: int, open_records: int, gap: int) -> None:
    position = _accepted(start, open_records)
    after = start + open_records + gap
    position.skip_gap(after)
    assert position.judge(after) is OffsetRelation.NEXT
    assert position.committable == (start if open_records else after)
    for offset in range(start, start + open_records):
        position.finish(offset)
    assert position.committable == after


def test_only_the_next_offset_is_accepted() -> None:
    position = _accepted(7, 2)
    for offset in (8, 10):
        with pytest.raises(ValueError, match="where 9 is next"):
            position.accept(offset)


@pytest.mark.parametrize("offset", [6, 9])
def test_what_was_not_accepted_cannot_finish(offset: int) -> None:
    with pytest.raises(ValueError, match=r"finished outside 7\.\.9"):
        _accepted(7, 2).finish(offset)


def test_what_was_committed_cannot_finish_again() -> None:
    position = _accepted(7, 2)
    position.finish(7)
    with pytest.raises(ValueError, match=r"finished outside 8\.\.9"):
        position.finish(7)


@given(start=st.integers(0, 100), before=st.integers(0, 4), passed=st.integers(1, 10**9), after=st.integers(0, 4))
def test_what_is_passed_over_is_in_flight_until_it_is_finished(
    start: int, before: int, passed: int, after: int
) -> None:
    """However long the gap is: a log of a billion offsets costs no more than one record."""
    position = _accepted(start, before)
    first, following = start + before, start + before + passed
    position.advance_to(following)
    for offset in range(following, following + after):
        position.accept(offset)
        position.finish(offset)
    for offset in range(start, first):
        position.finish(offset)
    assert position.committable == first
    position.finish(first, following)
    assert position.committable == following + after


@pytest.mark.parametrize("offset", [5, 7])
def test_nobody_goes_back(offset: int) -> None:
    with pytest.raises(ValueError, match="where 7 is next"):
        OffsetTracker(7).advance_to(offset)


@pytest.mark.parametrize(
    ("expected", "stable", "end", "comparison"),
    [
        (5, 5, 5, LogComparison.LEVEL),
        (5, 5, 9, LogComparison.LEVEL),  # what lies behind an open transaction cannot be read
        (5, 6, 6, LogComparison.BEHIND),
        (5, 6, 9, LogComparison.BEHIND),
        (5, 4, 4, LogComparison.BEYOND),
        (5, 3, 5, LogComparison.LEVEL),
    ],
)
def test_how_a_position_compares_with_its_log(expected: int, stable: int, end: int, comparison: LogComparison) -> None:
    assert compare(expected, stable, end) is comparison
