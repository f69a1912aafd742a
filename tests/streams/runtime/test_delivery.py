"""The one header that is passed on, and the trace of records that arrive without it."""

import pytest

from nightdesk.streams.runtime.handling.delivery import TRACEPARENT, trace_headers

WELL_FORMED = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_trace_is_carried_on_and_every_other_header_is_dropped() -> None:
    headers = (("Faust-Ag-ReplyTo", b"their-topic"), (TRACEPARENT, WELL_FORMED), ("x", b"y"))
    assert trace_headers(headers, "t", 0, 0) == ((TRACEPARENT, WELL_FORMED),)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"nonsense",
        WELL_FORMED.upper(),
        WELL_FORMED + b"\n",
        WELL_FORMED + b"-x",
        b"00-" + b"0" * 10,
        b"ff" + WELL_FORMED[2:],
        WELL_FORMED[:3] + b"0" * 32 + WELL_FORMED[35:],
        WELL_FORMED[:36] + b"0" * 16 + WELL_FORMED[52:],
    ],
)
def test_what_is_no_trace_is_replaced_by_one_named_by_the_place(value: bytes) -> None:
    [(name, made)] = trace_headers(((TRACEPARENT, value),), "t", 1, 2)
    assert name == TRACEPARENT
    assert made != value
    assert trace_headers((), "t", 1, 2) == ((TRACEPARENT, made),), "the same place has the same trace"
    assert trace_headers(((TRACEPARENT, made),), "u", 9, 9) == ((TRACEPARENT, made),), "and it is well-formed"


def test_places_have_traces_of_their_own() -> None:
    places = [("t", 0, 0), ("t", 0, 1), ("t", 1, 0), ("u", 0, 0)]
    assert len({trace_headers((), *place) for place in places}) == len(places)
