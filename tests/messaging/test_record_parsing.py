"""Records behind one whose length is wrong cannot be found; behind any other malformed record they are read."""

import pytest

from nightdesk.messaging.record_parsing import Parsed, Unparsed, parse
from tests.hostile.batches import Raw, varint

GOOD = Parsed(0, 0, b"k", b"v", ())


@pytest.mark.parametrize(
    ("length", "left"),
    [(varint(-1), b"abc"), (varint(0), b"abc"), (varint(4), b"abc"), (varint(2**31), b"")],
)
def test_a_wrong_length_ends_the_batch(length: bytes, left: bytes) -> None:
    good, bad = parse(Raw().encoded(0) + length + left, 9, 9)
    assert good == GOOD
    assert isinstance(bad, Unparsed)
    assert (bad.offset_delta, bad.and_all_after) == (1, True)
    assert f"{len(left)} bytes are left" in bad.reason


def test_a_length_up_to_the_end_is_right() -> None:
    one_byte = varint(1) + b"\x00"
    [found] = parse(one_byte, 1, 0)
    assert isinstance(found, Unparsed)
    assert not found.and_all_after, "the length is right; what is in it is not"
    assert list(parse(Raw().encoded(0), 1, 0)) == [GOOD]


def test_behind_a_malformed_record_the_next_is_read() -> None:
    bad, good = parse(Raw(padding=b"!").encoded(0) + Raw().encoded(1), 2, 1)
    assert isinstance(bad, Unparsed)
    assert (bad.offset_delta, bad.and_all_after) == (0, False)
    assert good == Parsed(1, 0, b"k", b"v", ())


@pytest.mark.parametrize(("count", "last_offset_delta"), [(1, 9), (9, 0)])
def test_no_more_records_than_the_batch_says(count: int, last_offset_delta: int) -> None:
    assert list(parse(Raw().encoded(0) * 3, count, last_offset_delta)) == [GOOD]
