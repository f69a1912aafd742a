"""What can become of a step, as a table.

`conversation.py` takes every outcome through it, so that a caller's mistake stops the run instead of being recorded.
"""

from collections.abc import Mapping
from typing import Literal

from schemas.records import StepStatus

State = Literal["pending", "begun"] | StepStatus

NEXT: Mapping[State, frozenset[State]] = {
    # Skipped by a dry run or a bound. Begun is taken in hand: a step may then fail before its call, or need none.
    "pending": frozenset({"begun", "skipped"}),
    "begun": frozenset({"done", "failed", "unknown"}),
    "done": frozenset({"undone", "undo_failed"}),
    # A person sees these two; nothing happens to them by itself.
    "unknown": frozenset(),
    "undo_failed": frozenset(),
    "failed": frozenset(),
    "skipped": frozenset(),
    "undone": frozenset(),
}


class IllegalOutcome(ValueError):
    """An outcome that the step cannot have: a mistake in the caller."""


def advance(state: State, to: State) -> State:
    """The state after, or `IllegalOutcome`."""
    if to not in NEXT[state]:
        raise IllegalOutcome(f"a step that is {state} cannot become {to}")
    return to
