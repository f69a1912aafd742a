"""Texts that a stranger may put into any field of an event, and what none of them may do to a terminal."""

from __future__ import annotations

import re
import unicodedata

HOSTILE = {
    "closing markup": "re: [/quote] done",
    "markup": "vip[red]-1",
    "link markup": "[link=http://x.test]click[/link]",
    "clears the screen": "x\x1b[2J\x1b[H",
    "sets the title": "x\x1b]0;owned\x07",
    "C1 introducer": "x\x9b31mred",
    "overwrites its line": "all well\rpaid   ",
    "forges a line": "x\nerror: nothing to see",
    "other line ends": "x\u2028y\u2029z\x85w\x0bv",
    "right to left": "invoice\u202efdp.exe",
    "isolates": "a\u2066b\u2069c\u200fd",
    "invisible": "ad\u200bmin\u2060\ufeff\u00ad\u3164",
    "tags": "x\U000e0001\U000e0041",
    "lone surrogate": "x\ud800y\udfff",
    "NUL and DEL": "x\x00y\x7fz",
    "pile of marks": "a" + "\u0301" * 40,
    "wide": "包裹" * 40,
    "emoji": "👩\u200d💻" * 20,
    "no word ends": "x" * 300,
    "escapes of ours": "x\\x1b[2J",
}
# All of it in one value, for fields of which a test has only one.
EVERYTHING = " ".join(HOSTILE.values())
HIDDEN = re.compile("[\u00ad\u034f\u115f\u1160\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff]")


def obeyed(printed: str) -> list[str]:
    """The printed characters that a terminal would obey or hide."""
    return [
        character
        for character in printed
        if character != "\n"
        and (unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or HIDDEN.match(character))
    ]
