"""Which letters are meant: by their ids or by what they have in common. Pure; called by `nightdesk dlq`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Literal

from nightdesk.dead_letters.reading import Letter, State
from nightdesk.exits import ExitCode, Failure
from processors.charter.quantities import parse_duration

# As much of an id as must be given.
ID_CHARACTERS = 6


@dataclass(frozen=True, slots=True)
class Choice:
    """What a letter must be to be meant; what is not said does not matter. `limit` takes the oldest."""

    ids: tuple[str, ...] = ()
    topic: str = ""
    stage: str = ""
    error: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None

    @property
    def is_everything(self) -> bool:
        """Nothing was said."""
        return all(getattr(self, field.name) in ((), "", None) for field in fields(self))

    def takes(self, letter: Letter) -> bool:
        about = letter.about
        same = all(
            wanted in ("", found)
            for wanted, found in (
                (self.topic, about.topic),
                (self.stage, about.stage),
                (self.error, about.error),
                (self.subject, about.subject or ""),
            )
        )
        in_time = (self.since is None or about.time >= self.since) and (self.until is None or about.time < self.until)
        return same and in_time and (not self.ids or any(about.dead_letter_id.startswith(one) for one in self.ids))


def choose(letters: Sequence[Letter], choice: Choice, state: State | Literal["all"]) -> list[Letter]:
    """The letters that are meant. Raises `Failure` for an id that is of none or of several."""
    for one in choice.ids:
        _check_id(one, letters)
    taken = [letter for letter in letters if choice.takes(letter) and state in ("all", letter.state)]
    return taken if choice.limit is None else taken[: choice.limit]


def moment(text: str, now: datetime) -> datetime | None:
    """A time as people write it: ISO 8601 (UTC unless it says another zone), or how long ago, as in `2h`."""
    if not text:
        return None
    try:
        return now - timedelta(seconds=parse_duration(text))
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(
            f"{text!r} is no time", "Write 2026-11-23T08:00, or 2h for two hours ago", ExitCode.USAGE
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _check_id(one: str, letters: Sequence[Letter]) -> None:
    found = [letter for letter in letters if letter.about.dead_letter_id.startswith(one)]
    if not found:
        raise Failure(f"there is no dead letter {one}", "See `nightdesk dlq list --state all`", ExitCode.NOT_FOUND)
    if len(found) > 1 or len(one) < ID_CHARACTERS:
        raise Failure(f"{one} may be one of several dead letters", "Give more of the id", ExitCode.USAGE)
