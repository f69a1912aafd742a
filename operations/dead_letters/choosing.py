"""Selects letters by their ids or by common properties. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Literal

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.dead_letters.causes import cause
from nightdesk.operations.dead_letters.reading import Letter, State

# The shortest part of an id that is accepted.
ID_CHARACTERS = 6
NAME_AT_MOST = 200


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter; unset fields match every letter. `cause` is the message as `causes.cause` gives it, without the parts
    that differ from record to record. `limit` selects the oldest.
    """

    ids: tuple[str, ...] = ()
    topic: str = ""
    stage: str = ""
    error: str = ""
    subject: str = ""
    origin: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None
    cause: str = ""

    @property
    def is_everything(self) -> bool:
        """Whether no field is set."""
        return all(getattr(self, field.name) in ((), "", None) for field in fields(self))

    @property
    def text(self) -> str:
        """The filter in one line: its name if nobody gave it one. Empty if letters are named, or all are meant."""
        if self.ids:
            return ""
        set_ = ((field.name, getattr(self, field.name)) for field in fields(self))
        parts = (f"{name}={_written(value)}" for name, value in set_ if value not in ((), "", None))
        return " ".join(parts)[:NAME_AT_MOST]

    def takes(self, letter: Letter) -> bool:
        about = letter.about
        same = all(
            wanted in ("", found)
            for wanted, found in (
                (self.topic, about.topic),
                (self.stage, about.stage),
                (self.error, about.error),
                (self.subject, about.subject or ""),
                (self.origin, about.origin),
                (self.cause, cause(about.message)),
            )
        )
        in_time = (self.since is None or about.time >= self.since) and (self.until is None or about.time < self.until)
        return same and in_time and (not self.ids or any(about.dead_letter_id.startswith(one) for one in self.ids))


def _written(value: object) -> str:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)


def choose(letters: Sequence[Letter], choice: Choice, state: State | Literal["all"]) -> list[Letter]:
    """The matching letters. Raises `Failure` for an id that matches none or several."""
    for one in choice.ids:
        _check_id(one, letters)
    taken = [letter for letter in letters if choice.takes(letter) and state in ("all", letter.state)]
    return taken if choice.limit is None else taken[: choice.limit]


def _check_id(one: str, letters: Sequence[Letter]) -> None:
    found = [letter for letter in letters if letter.about.dead_letter_id.startswith(one)]
    if not found:
        raise Failure(f"there is no dead letter {one}", "See `nightdesk dlq list --state all`", FailureKind.NOT_FOUND)
    if len(found) > 1 or len(one) < ID_CHARACTERS:
        raise Failure(f"{one} matches several dead letters", "Give more of the id", FailureKind.INVALID)
