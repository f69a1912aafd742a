"""Whatever bytes an outside system answers, a result is JSON and bounded."""

import json

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from nightdesk.effects.handlers import answers
from nightdesk.effects.handlers.answers import Meaning
from nightdesk.processors.charter.handlers import HttpHandler
from nightdesk.processors.json_text import MAX_NESTING


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


def test_a_result_that_nests_too_deep_for_later_steps_is_a_text() -> None:
    for depth in (MAX_NESTING, MAX_NESTING + 2, 1000):
        body = b"[" * depth + b"]" * depth
        is_text = isinstance(orjson.loads(answers.json_text(body, cut=False)), str)
        assert is_text == (depth > MAX_NESTING + 1)


@given(st.integers(100, 599))
def test_an_error_is_one_bounded_line(status: int) -> None:
    line = answers.error_text(status, b"very\r\nlong " * 1000)
    assert "\n" not in line
    assert len(line) < answers.MAX_ERROR_CHARACTERS + 20


HTTP = {"type": "http", "connection": "bank", "path": "/pay"}
STATUSES = st.integers(100, 999)


@given(STATUSES, st.sets(st.integers(400, 599)), st.sampled_from(["key", "natural", "none"]))
def test_what_a_status_means(status: int, listed: set[int], idempotent: str) -> None:
    handler = HttpHandler.model_validate({**HTTP, "idempotent": idempotent, "did_not_happen": sorted(listed)})
    meaning = answers.meaning(status, handler)
    assert (meaning is Meaning.DONE) == (200 <= status < 300)
    if meaning in (Meaning.NEVER, Meaning.NOT_NOW):
        assert status in listed or (idempotent != "none" and 400 <= status < 500)
    if status in listed:
        assert meaning is (Meaning.NOT_NOW if status in (408, 425, 429) or status >= 500 else Meaning.NEVER)


@given(STATUSES)
def test_a_call_that_only_reads_has_never_happened(status: int) -> None:
    handler = HttpHandler.model_validate({**HTTP, "method": "GET", "read_only": True})
    assert answers.meaning(status, handler) is not Meaning.MAYBE
