"""Whatever bytes an outside system answers with, a result is JSON and bounded."""

import json

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from effects.actions import answers


@given(st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode(errors="replace")))
@example(b'"' * 40_000)
@example(b"\x00" * 64_000)
@example(b"\x00" * 64_001)
@example("é".encode() * 40_000)
@example("😀".encode() * 16_001)
@example(b"[" * 5000)
@example(b"NaN")
def test_a_result_is_json_of_at_most_64_kb(body: bytes) -> None:
    for cut in (False, True):
        text = answers.json_text(body, cut)
        assert len(text.encode()) <= answers.MAX_RESULT_BYTES
        value = orjson.loads(text)
        assert not cut or not body or value.endswith("…")


@given(st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text(), st.lists, max_leaves=10))
def test_json_stays_as_it_is(value: object) -> None:
    text = json.dumps(value)
    assert answers.json_text(text.encode(), cut=False) == text


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("0", 0), (None, None), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), ("1.5", None),
     ("²", None), ("99999999999", None)],
)  # fmt: skip
def test_retry_after(header: str | None, seconds: int | None) -> None:
    assert answers.retry_after_seconds(header) == seconds


@given(st.integers(100, 599), st.booleans())
def test_an_error_is_one_bounded_line(status: int, takes_keys: bool) -> None:
    line = answers.error_text(status, b"very\r\nlong " * 1000)
    assert "\n" not in line
    assert len(line) < answers.MAX_ERROR_CHARACTERS + 20
    meaning = answers.meaning(status, takes_keys=takes_keys)
    assert (meaning is answers.Meaning.DONE) == (200 <= status < 300)
