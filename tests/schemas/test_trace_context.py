"""The trace of a record is the producer's, or one that its place gives it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.schemas.trace_context import TraceContext, caused_by, nanoseconds, new, parse, span_id

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "x",
        f"00-{TRACE}-{PARENT}",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01\n",
        f" 00-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
    ],
)
def test_what_is_not_well_formed_is_no_trace(header: str | None) -> None:
    assert parse(header) is None


def test_a_producers_trace_goes_on_under_our_span() -> None:
    header = f"00-{TRACE}-{PARENT}-00"
    context = parse(header)
    assert context == TraceContext(TRACE, PARENT, "00")
    assert not context.starts_here
    assert caused_by(header, "step-1") == f"00-{TRACE}-{span_id('step-1')}-00"


def test_what_is_no_trace_is_passed_on_as_it_is() -> None:
    assert caused_by("x", "step-1") == "x"


@given(st.text(), st.text())
def test_each_cause_has_one_trace_and_one_span(one: str, other: str) -> None:
    assert (new(one) == new(other)) == (span_id(one) == span_id(other)) == (one == other)
    assert parse(str(new(one))) == new(one)
    assert new(one).starts_here


@given(microseconds=st.integers(0, 4 * 10**15))
def test_a_time_in_nanoseconds_is_exact(microseconds: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    assert nanoseconds(at) == microseconds * 1000
