"""Text from others: what a terminal would obey or hide is escaped, and every script stays readable."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nightdesk.schemas.foreign_text import visible, visible_json
from tests.nightdesk.hostile_text import HOSTILE, obeyed

# ZWJ and NBSP are data here, so they are written as escapes.
READABLE = [
    "vip[red]-1 [/quote] [bold]x[/]",
    "Grüße aus Köln, naïve café",
    "привет, γειά, שלום, مرحبا",
    "我的包裹在哪里?\u3000谢谢",
    "می\u200cخواهم",
    "👩\u200d💻 ❤\ufe0f",
    "क्षत्रिय",
    "10\u00a0000\u202f€",
    "e\u0301te\u0301",
    "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "C:\\temp\\x1b",
]


@pytest.mark.parametrize("text", READABLE)
def test_ordinary_text_of_every_script_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_text_is_shown_and_not_obeyed(text: str) -> None:
    assert not obeyed(visible(text))


def test_what_is_shown_says_which_character_it_was() -> None:
    assert visible("a\x1b[2J\x9b31m\u202eb\u2028c\ud800d\n\u200be\U000e0041") == (
        r"a\x1b[2J\x9b31m\u202eb\u2028c\ud800d\n\u200be\U000e0041"
    )


def test_a_pile_of_marks_is_cut_and_none_sits_on_the_text_before() -> None:
    assert visible("a" + "\u0301" * 9) == "a" + "\u0301" * 6 + r"\u0301" * 3
    assert visible("\u0301a") == r"\u0301a"


@pytest.mark.parametrize("between", ["", "\u200d", "\u200c", "\u200d\u200c"])
@pytest.mark.parametrize("mark", ["\u0301", "\u20dd", "\u1161", "\u11a8"])
def test_no_joiner_begins_another_pile(mark: str, between: str) -> None:
    """A vowel of a Korean syllable takes no room either, and so covers the one before it."""
    shown = visible("e\u00e9" + (mark * 3 + between) * 20)
    assert shown.count(mark) <= 6


def test_two_words_that_look_the_same_are_told_apart() -> None:
    assert len({visible(word) for word in ("admin", "ad\u200dmin", "ad\u034fmin", "ad\ufe0fmin", "ad\u3164min")}) == 5


def test_a_text_that_draws_nothing_does_not_look_empty() -> None:
    """An unprintable name, the Hangul fillers, the braille pattern without a dot, and a note without ink."""
    assert [visible(text) for text in ("\u2800", "\u115f", "\u3164", "\uffa0", "\U0001d159")] == [
        r"\u2800",
        r"\u115f",
        r"\u3164",
        r"\uffa0",
        r"\U0001d159",
    ]


@given(st.text(st.characters(codec=None, categories=None)))
def test_nothing_that_a_terminal_obeys_gets_through(text: str) -> None:
    shown = visible(text)
    assert not obeyed(shown)
    assert {unicodedata.category(character) for character in shown} & {"Cc", "Cs", "Zl", "Zp"} == set()


@given(st.text(st.characters(codec=None, categories=None)))
def test_json_keeps_its_value(text: str) -> None:
    line = visible_json(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(line) == json.loads(json.dumps({"text": text}))
    assert not obeyed(line)
