"""What is too large for its dead letter is cut to the bound, with the digest and the size of the whole."""

from hypothesis import given
from hypothesis import strategies as st

from nightdesk.schemas import bounds
from nightdesk.schemas.dead_letters import Original
from nightdesk.schemas.records import DeadLetter
from nightdesk.schemas.truncation import KEY_BYTES_KEPT, VALUE_BYTES_KEPT, digest, fit
from tests.schemas.samples import SAMPLES

[LETTER] = [sample for sample in SAMPLES if type(sample) is DeadLetter]
WHOLE = LETTER.model_copy(update={"truncated": False, "sha256": None, "size_bytes": None})
HEADERS = st.lists(st.tuples(st.text(max_size=9), st.none() | st.binary(max_size=900)), max_size=9).map(tuple)


def _size(original: Original) -> int:
    return len(original.key or b"") + len(original.value or b"") + bounds.size_of_headers(original.headers)


def test_what_just_fits_is_not_cut() -> None:
    original = Original(b"k" * 10, b"v" * 80, (("name", b"v" * 6),))
    assert fit(WHOLE, original, 100) == (WHOLE, original)
    assert fit(WHOLE, original, 99)[0].truncated


def test_more_headers_than_a_letter_has_are_cut() -> None:
    most = (("", b""),) * bounds.DEAD_LETTER_HEADERS_AT_MOST
    assert not fit(WHOLE, Original(None, None, most), 9000)[0].truncated
    cut, kept = fit(WHOLE, Original(None, None, (*most, ("", b""))), 9000)
    assert cut.truncated
    assert cut.original_headers == len(kept.headers) <= bounds.DEAD_LETTER_HEADERS_AT_MOST


def test_of_each_part_the_beginning_is_kept() -> None:
    original = Original(b"k" * 2000, b"v" * 100_000, (("one", b"v" * 2000), ("two", b"v" * 2000)))
    cut, kept = fit(WHOLE, original, 10_000)
    assert (kept.key, kept.value) == (b"k" * KEY_BYTES_KEPT, b"v" * 5000)
    assert kept.headers == original.headers[:1]
    assert (cut.truncated, cut.size_bytes, cut.original_headers) == (True, 100_000, 1)
    assert cut.sha256 == digest(original)
    assert fit(WHOLE, Original(None, b"v" * 900_000, ()), 800_000)[1].value == b"v" * VALUE_BYTES_KEPT


@given(
    key=st.none() | st.binary(max_size=3000),
    size=st.none() | st.integers(0, 20_000),
    headers=HEADERS,
    at_most=st.integers(5000, 12_000),
)
def test_whatever_comes_the_letter_has_no_more_than_the_bound(
    key: bytes | None, size: int | None, headers: tuple[tuple[str, bytes | None], ...], at_most: int
) -> None:
    original = Original(key, None if size is None else bytes(size), headers)
    cut, kept = fit(WHOLE, original, at_most)
    assert _size(kept) <= at_most
    assert cut.truncated == (_size(original) > at_most)
    assert (kept.key is None, kept.value is None) == (key is None, size is None)
