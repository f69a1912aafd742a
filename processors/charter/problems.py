"""The errors and warnings of a charter, and how much of them is kept.

A list of ten thousand wrong items is one mistake, and what a charter has is quoted in errors. So the first errors are
kept and the others counted, and no text of one is long: whoever shows or logs them shows little.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nightdesk.processors.charter.source import Path, Position

PROBLEMS_AT_MOST = 50
PATH_CHARACTERS = 200
REASON_CHARACTERS = 1000


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """An error in a charter. Line and column count from 1; `path` looks like `playbooks.respond[0].undo`."""

    line: int
    column: int
    path: str
    reason: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.line}:{self.column}: {where}{self.reason}"


class CharterInvalid(ValueError):
    """A charter that cannot be used. `problems` has its first errors, in the order of the file; there are `more`."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems, self.more = first_of(problems)
        lines = [str(problem) for problem in self.problems]
        super().__init__("\n".join([*lines, *([f"and {self.more} more"] if self.more else [])]))


def problem_of(position: Position, path: Path, reason: str) -> Problem:
    """A problem whose texts are cut to what a person reads."""
    where = _cut(dotted(path), PATH_CHARACTERS)
    return Problem(position.line, position.column, where, _cut(reason, REASON_CHARACTERS))


def first_of(problems: Sequence[Problem]) -> tuple[tuple[Problem, ...], int]:
    """The first problems, and how many more there are."""
    return tuple(problems[:PROBLEMS_AT_MOST]), max(0, len(problems) - PROBLEMS_AT_MOST)


def dotted(path: Path) -> str:
    """A path for people: `playbooks.respond[0].undo`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
