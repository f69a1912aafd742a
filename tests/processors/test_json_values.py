"""A template's value is JSON with exactly its number, or fails with a reason before anything is sent."""

import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.json_text import LARGEST, MAX_NESTING, SMALLEST
from nightdesk.processors.json_values import NotJson, as_json
from nightdesk.processors.scopes import Scope
from nightdesk.processors.templates import TemplateFailed, compile_template

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.binary(max_size=4)
    | st.text(alphabet=st.characters(exclude_categories=[]), max_size=4)
    | st.datetimes(timezones=st.timezones())
    | st.just(range(3)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(ANYTHING)
def test_what_passes_is_encoded_as_what_it_is(value: Any) -> None:
    try:
        found = as_json(value)
    except NotJson:
        return
    assert orjson.loads(orjson.dumps(found)) == found


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (LARGEST + 1, "more than 64 bits"),
        (SMALLEST - 1, "more than 64 bits"),
        (math.inf, "no such number"),
        (math.nan, "no such number"),
        (1j, "complex"),
        (b"x", "bytes"),
        (range(3), "range"),
        ((item for item in "ab"), "generator"),
        ("\ud800", "Unicode"),
        ({"\udc00": 1}, "Unicode"),
        ({1: 2}, "a key that is no text"),
        ({"a": [{"b": math.nan}]}, r"^a\[0\]\.b is nan"),
        (set(), "set"),
    ],
)
def test_what_is_no_json_is_named(value: Any, says: str) -> None:
    with pytest.raises(NotJson, match=says):
        as_json(value)


def test_what_nests_without_end_is_refused() -> None:
    value: list[Any] = []
    for _ in range(MAX_NESTING + 1):
        value = [value]
    with pytest.raises(NotJson, match="nests deeper"):
        as_json(value)


DATA = {"cents": 10**9, "large": 1e308, "big": LARGEST, "word": "nan", "names": ["anna", "ben"]}


@pytest.mark.parametrize(
    "template",
    [
        "{{ event.data.cents * 1000000000000 }}",
        "{{ event.data.big + 1 }}",
        "{{ event.data.large * 100 }}",
        "{{ event.data.word | float }}",
        "{{ 'inf' | float }}",
        "{{ range(3) }}",
        "{{ namespace(a=1) }}",
        "{{ (0 - event.data.cents) ** 0.5 }}",
        "{{ '%c' % 55296 }}",
        "x{{ '%c' % 55296 }}",
        "{{ {1: 2} }}",
        "{{ event.data.names.index }}",
        "{{ dict }}",
    ],
)
def test_a_template_that_gives_no_json_fails_with_a_reason(template: str) -> None:
    for value in (template, {"a": [template]}):
        with pytest.raises(TemplateFailed, match=r"\w+"):
            compile_template(value)(Scope({"event": {"data": DATA}}))
