"""Groups dead letters by cause: the stage, the topic, the error, and its message without the parts that differ from
record to record. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from nightdesk.operations.dead_letters.reading import Letter

# The parts in which the messages of one cause differ: ids, numbers, quoted values.
VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f]{8}(?:-?[0-9a-f]{4,}){1,}\b|\d+")


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """The letters of one cause, the oldest first."""

    stage: str
    topic: str
    error: str
    cause: str
    letters: Sequence[Letter]

    @property
    def first_at(self) -> datetime:
        return self.letters[0].about.time

    @property
    def last_at(self) -> datetime:
        return self.letters[-1].about.time


def by_cause(letters: Iterable[Letter]) -> list[CauseGroup]:
    """The largest group first."""
    found: dict[tuple[str, str, str, str], list[Letter]] = {}
    for letter in letters:
        about = letter.about
        found.setdefault((about.stage, about.topic, about.error, cause(about.message)), []).append(letter)
    groups = (CauseGroup(*key, own) for key, own in found.items())
    return sorted(groups, key=lambda group: -len(group.letters))


def cause(message: str) -> str:
    """The message without the parts that differ from one record to the next."""
    return VARIES.sub("…", message)
