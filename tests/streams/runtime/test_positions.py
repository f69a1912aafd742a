"""What may be acknowledged: the longest finished prefix, whatever the order in which records finish."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.positions import Arrival, Position


def _accepted(start: int, count: int) -> Position:
    position = Position(start)
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
    assert (arrival is Arrival.NEXT) == (offset == expected)
    assert (arrival is Arrival.SEEN) == (offset < expected)
    assert (arrival is Arrival.GAP) == (offset > expected)
    assert position.expected == expected, "to judge changes nothing"


@given(start=st.integers(0, 100), open_records=st.integers(0, 5), hole=st.integers(1, 50))
def test_a_hole_is_passed_over_but_never_what_lies_before_it(start: int, open_records: int, hole: int) -> None:
    position = _accepted(start, open_records)
    after = start + open_records + hole
    position.skip_hole(after)
    assert position.judge(after) is Arrival.NEXT
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
