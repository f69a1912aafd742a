"""What a charter's `redact` names is in no text that the audit keeps, however it is written there."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.processors.prompts import shortened
from nightdesk.processors.redaction import Redactor

DATA = {"customer": {"email": 'ann "a" @home', "names": ["Ann Ä. Bee", 4711]}, "text": "x" * 9000, "ok": True, "n": 7}


@pytest.mark.parametrize(
    ("names", "text", "expected"),
    [
        (["emails"], "to ann.bee+x@mail.example.com, now", "to [redacted: emails], now"),
        (["emails"], "a@b", "a@b"),
        (["long_numbers"], "card 4111 1111 1111 1111, room 12", "card [redacted: long_numbers], room 12"),
        (["data.customer"], "Ann Ä. Bee has 4711", "[redacted: data.customer] has [redacted: data.customer]"),
        (["data.customer.names"], json.dumps("Ann Ä. Bee"), '"[redacted: data.customer.names]"'),
        (["data.nothing.here", "data.ok", "data.n"], "true 7", "true 7"),
        ([], "ann@mail.example.com", "ann@mail.example.com"),
    ],
)
def test_what_is_named_is_replaced(names: list[str], text: str, expected: str) -> None:
    assert Redactor(names, json.dumps(DATA))(text) == expected


def test_a_value_is_found_as_json_writes_it_and_where_it_was_cut() -> None:
    redacted = Redactor(["data.customer.email", "data.text"], json.dumps(DATA))
    written = orjson.dumps(DATA, option=orjson.OPT_INDENT_2).decode()
    assert "home" not in redacted(written)
    for limit in range(20, 60):
        assert "ann" not in redacted(shortened(written, limit)) or limit < written.index("ann") + 3
    assert "xxx" not in redacted(shortened("x" * 9000, 8000))


def test_data_that_is_no_json_hides_nothing_and_breaks_nothing() -> None:
    assert Redactor(["data.a", "emails"], "no json")("a a@b.example") == "a [redacted: emails]"


@given(value=st.text(min_size=3, max_size=30), before=st.text(max_size=30), after=st.text(max_size=30))
def test_no_named_value_is_left(value: str, before: str, after: str) -> None:
    redacted = Redactor(["data.v"], json.dumps({"v": value}))
    text = redacted(f"{before}{value}{after}")
    assert (
        value not in text.replace("[redacted: data.v]", "") or value in before + after or value in "[redacted: data.v]"
    )


def test_long_texts_take_no_long_time() -> None:
    """Neither pattern looks at a character more often than its bound says: this would take hours otherwise."""
    redacted = Redactor(["emails", "long_numbers"], "{}")
    for text in ("a" * 100_000, "1 " * 50_000, "a@" * 50_000, "a." * 50_000):
        assert redacted(text)
