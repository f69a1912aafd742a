"""The possible states of a step, as a table.

`flow.py` checks every outcome against it, so a caller's mistake stops the run instead of being recorded.
"""

from collections.abc import Mapping
from typing import Literal

from nightdesk.schemas.records import StepStatus

State = Literal["pending", "begun"] | StepStatus

NEXT: Mapping[State, frozenset[State]] = {
    # Skipped by a bound; `would_have` is a change that a dry run did not make. "Begun" means in progress: a step may
    # then fail before its call, or need no call.
    "pending": frozenset({"begun", "skipped", "would_have"}),
    "begun": frozenset({"done", "failed", "unknown"}),
    "done": frozenset({"undone", "undo_failed"}),
    # A person handles these two; nothing happens to them automatically.
    "unknown": frozenset(),
    "undo_failed": frozenset(),
    "failed": frozenset(),
    "skipped": frozenset(),
    "would_have": frozenset(),
    "undone": frozenset(),
}


class IllegalOutcome(ValueError):
    """An outcome that the step cannot have: a mistake in the caller."""


def advance(state: State, to: State) -> State:
    """The next state. Raises `IllegalOutcome`."""
    if to not in NEXT[state]:
        raise IllegalOutcome(f"a step that is {state} cannot become {to}")
    return to
