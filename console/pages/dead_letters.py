"""Dead letters, grouped by cause, and narrowed by a filter: one look at what broke."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from nightdesk.console.frame import Page, SeeingEverything, page
from nightdesk.console.visitors import Role
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.dead_letters.causes import by_cause
from nightdesk.operations.dead_letters.choosing import Choice
from nightdesk.operations.dead_letters.handling import OpenedLetter
from nightdesk.operations.dead_letters.reading import Letter, State
from nightdesk.operations.times import moment

router = APIRouter()
PAGE = Page("dead-letters", "Dead letters", "d", router, every_agent=True)

STATES = ("open", "replayed", "discarded", "all")
SHOWN_OF_A_GROUP = 50
BYTES_SHOWN = 2_000


@dataclass(frozen=True, slots=True)
class Filter:
    """The filter as it is in the address; an empty field matches all."""

    stage: str = ""
    topic: str = ""
    error: str = ""
    subject: str = ""
    cause: str = ""
    since: str = ""
    until: str = ""

    def choice(self, now: datetime, ids: Sequence[str] = ()) -> Choice:
        """The filter for operations. Raises `Failure` for an invalid time."""
        of = {name: getattr(self, name) for name in ("stage", "topic", "error", "subject", "cause")}
        return Choice(ids=tuple(ids), since=moment(self.since, now), until=moment(self.until, now), **of)

    @property
    def is_set(self) -> bool:
        return any(getattr(self, name) for name in self.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class LetterRow:
    """One letter in a list."""

    dead_letter_id: str
    state: State
    time: datetime
    subject: str | None
    case_id: str | None
    message: str
    attempts: int
    waiting: int
    kind: str


@dataclass(frozen=True, slots=True)
class Group:
    """The letters of one cause, the oldest first. `letters` are the first of `count`."""

    stage: str
    topic: str
    error: str
    cause: str
    count: int
    first_at: datetime
    last_at: datetime
    letters: Sequence[LetterRow]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """The page. `matching` is how many letters the filter selects, and `filter_text` says which, in words. `done` says
    what was done just now.
    """

    state: str
    filter: Filter
    filter_text: str
    matching: int
    groups: Sequence[Group]
    strangers: int
    may_resolve: bool
    done: str


@dataclass(frozen=True, slots=True)
class LetterView:
    """The page of one letter. `record` is None if this version cannot read it; then the page shows its bytes."""

    letter: LetterRow
    about: Any
    size_bytes: int
    record: Any
    bytes_shown: str
    is_whole: bool
    may_resolve: bool


@page(router, "/dead-letters")
def list_letters(
    visit: SeeingEverything,
    asked: Annotated[Filter, Depends(Filter)],
    state: Literal["open", "replayed", "discarded", "all"] = "open",
    done: str = "",
) -> Response:
    choice = asked.choice(visit.now)
    found = visit.console.dead_letters.select(choice, state)
    may, count = visit.visitor.may(Role.operator), len(found.letters)
    view = DeadLetters(state, asked, choice.text, count, groups(found.letters), found.strangers, may, done)
    return visit.show("dead_letters.html", view)


@page(router, "/dead-letters/{letter_id}")
def show_letter(visit: SeeingEverything, letter_id: str) -> Response:
    for opened in visit.console.dead_letters.open_up(letter_id):
        return visit.show("dead_letter.html", _view(opened, visit.visitor.may(Role.operator)))
    raise Failure(f"the record of {letter_id} is gone", "See `nightdesk dlq list`", FailureKind.NOT_FOUND)


def groups(letters: Iterable[Letter]) -> list[Group]:
    """By cause, the largest group first."""
    return [
        Group(
            group.stage,
            group.topic,
            group.error,
            group.cause,
            len(group.letters),
            group.first_at,
            group.last_at,
            [row(letter) for letter in group.letters[:SHOWN_OF_A_GROUP]],
        )
        for group in by_cause(letters)
    ]


def row(letter: Letter) -> LetterRow:
    about = letter.about
    return LetterRow(
        about.dead_letter_id,
        letter.state,
        about.time,
        about.subject,
        about.case_id,
        about.message,
        about.attempts,
        letter.waiting,
        about.kind,
    )


def _view(opened: OpenedLetter, may_resolve: bool) -> LetterView:
    value = opened.contents.shown.value or b""
    return LetterView(
        row(opened.letter),
        opened.letter.about.model_dump(mode="json"),
        opened.letter.size_bytes,
        None if opened.record is None else opened.record.model_dump(mode="json"),
        repr(value[:BYTES_SHOWN])[2:-1],
        bool(opened.contents.whole),
        may_resolve,
    )
