"""Counts the reasons of many events that differ in names and numbers only, the most frequent first. Pure."""

import re
from collections import Counter
from typing import NamedTuple

REASONS_AT_MOST = 3
REASON_CHARACTERS_AT_MOST = 160
# What tells reasons of one kind apart: JSON, quoted values, ids, times, money and long numbers. A short number is a
# part of the reason, as in HTTP 400.
_VARIES = re.compile(
    r"\{.*\}|\{.*|'[^']*'|\"[^\"]*\"|\b[0-9a-f]{8}(?:-[0-9a-f]{4,})+\b|\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d[:.\d]*)?"
    r"|\$\d+(?:\.\d+)?|\b\d+(?:[.:,]\d+)+\b|\b\d{4,}\b"
)


class ReasonCount(NamedTuple):
    """A reason, and how many events had it. What differs is left out: it reads `…`."""

    reason: str
    events: int


class Reasons:
    """The reasons so far, by what they have in common."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._texts: dict[str, str] = {}

    def add(self, reason: str) -> None:
        alike = _VARIES.sub("…", reason)
        self._counts[alike] += 1
        if self._texts.setdefault(alike, reason) != reason:
            self._texts[alike] = alike

    def most_frequent(self) -> tuple[ReasonCount, ...]:
        """The first few, shortened."""
        found = sorted(self._counts.items(), key=lambda counted: (-counted[1], counted[0]))
        return tuple(ReasonCount(_shortened(self._texts[alike]), count) for alike, count in found[:REASONS_AT_MOST])


def _shortened(reason: str) -> str:
    return reason if len(reason) <= REASON_CHARACTERS_AT_MOST else f"{reason[: REASON_CHARACTERS_AT_MOST - 1]}…"
