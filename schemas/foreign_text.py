"""Makes untrusted text safe to print: characters that a terminal interprets or does not show become visible escapes.
Pure.

Safe text does not change, so a text may pass through more than once.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable

# `str.isprintable` counts these as printable, but a terminal draws nothing for them: Unicode's Default_Ignorable, and
# the braille pattern and the musical note that have no ink.
INVISIBLE = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0\U0001d159"
    + "".join(map(chr, range(0xFE00, 0xFE10)))
    + "".join(map(chr, range(0xE0100, 0xE01F0)))
)
# Persian, Indic scripts and emoji are written with these; between ASCII characters they only disguise a word.
JOINERS = frozenset("\u200c\u200d")
EMOJI_SELECTORS = frozenset("\ufe0e\ufe0f")
# Marks above and below one letter: no script stacks more, and a pile of them covers other lines.
MOST_MARKS = 6


def visible(text: str) -> str:
    """`text` on one line. Control, direction and invisible characters, and line breaks, are escaped as in Python."""
    return _escaped(text, lambda character: character.encode("unicode_escape").decode())


def visible_json(line: str) -> str:
    """One line of JSON text, with the same characters escaped as JSON escapes them: a parser reads the same value."""
    return _escaped(line, lambda character: json.dumps(character)[1:-1])


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = MOST_MARKS  # a leading mark would combine with the character before it
    for place, character in enumerate(text):
        if _takes_no_room(character):
            marks += 1
        elif character not in JOINERS:  # they have no room of their own either
            marks = 0
        keep = marks <= MOST_MARKS and _is_shown(character, text, place)
        shown.append(character if keep else escape(character))
    return "".join(shown)


def _takes_no_room(character: str) -> bool:
    """Whether it is drawn over the character before it: a mark, or the vowel and the end of a Korean syllable."""
    if unicodedata.category(character) in ("Mn", "Me"):
        return True
    return "\u1160" <= character <= "\u11ff" or "\ud7b0" <= character <= "\ud7ff"


def _is_shown(character: str, text: str, place: int) -> bool:
    """Whether a terminal draws this character here without interpreting it."""
    if character in JOINERS:
        return _is_foreign(text, place - 1) and _is_foreign(text, place + 1)
    if character in EMOJI_SELECTORS:
        return _is_foreign(text, place - 1)
    if character in INVISIBLE:
        return False
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _is_foreign(text: str, place: int) -> bool:
    """Whether the character is of a script other than ASCII's, or an emoji."""
    return 0 <= place < len(text) and not text[place].isascii() and text[place].isprintable()
