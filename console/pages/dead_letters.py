"""Dead letters, grouped by cause: one look at what broke, replay and discard for one or many, with a dry run first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form
from fastapi.responses import Response

from nightdesk.console.frame import Changing, Page, SeeingEverything, changing, page
from nightdesk.console.visitors import Role
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.dead_letters.choosing import Choice
from nightdesk.operations.dead_letters.ending import LetterOrder, Verdict
from nightdesk.operations.dead_letters.handling import OpenedLetter
from nightdesk.operations.dead_letters.reading import Letter, State

router = APIRouter()
PAGE = Page("dead-letters", "Dead letters", "d", router, every_agent=True)

STATES = ("open", "replayed", "discarded", "all")
# What tells messages of one cause apart: ids, numbers, quoted values.
VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\b[0-9a-f]{8}(?:-?[0-9a-f]{4,}){1,}\b|\d+")
SHOWN_OF_A_GROUP = 50
BYTES_SHOWN = 2_000


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
    """The page. `done` says what was done just now."""

    state: str
    groups: Sequence[Group]
    strangers: int
    may_resolve: bool
    done: str


@dataclass(frozen=True, slots=True)
class LetterView:
    """The page of one letter. `record` is None where this version cannot read it; then there are its bytes."""

    letter: LetterRow
    about: Any
    size_bytes: int
    record: Any
    bytes_shown: str
    is_whole: bool
    may_resolve: bool


@dataclass(frozen=True, slots=True)
class DryRun:
    """What an order would do, before it is given."""

    verdict: Verdict
    reason: str
    letters: Sequence[LetterRow]


@page(router, "/dead-letters")
def list_letters(
    visit: SeeingEverything, state: Literal["open", "replayed", "discarded", "all"] = "open", done: str = ""
) -> Response:
    found = visit.console.dead_letters.select(Choice(), state)
    may = visit.visitor.may(Role.operator)
    return visit.show("dead_letters.html", DeadLetters(state, groups(found.letters), found.strangers, may, done))


@page(router, "/dead-letters/{letter_id}")
def show_letter(visit: SeeingEverything, letter_id: str) -> Response:
    for opened in visit.console.dead_letters.open_up(letter_id):
        return visit.show("dead_letter.html", _view(opened, visit.visitor.may(Role.operator)))
    raise Failure(f"the record of {letter_id} is gone", "See `nightdesk dlq list`", FailureKind.NOT_FOUND)


@changing(router, "/dead-letters")
def resolve(
    visit: Changing,
    verdict: Annotated[Verdict, Form()],
    ids: Annotated[list[str] | None, Form()] = None,
    reason: Annotated[str, Form()] = "",
    sure: Annotated[str, Form()] = "",
) -> Response:
    """Show what would happen; or do it, if the form is that of the dry run."""
    visit.visitor.check(Role.operator)
    if not ids:
        raise Failure("no letters are chosen", "Go back and tick those that are meant", FailureKind.INVALID)
    if verdict == "discarded" and not reason.strip():
        raise Failure("discarding needs a reason", "Go back and give one: it is in the audit", FailureKind.INVALID)
    given = LetterOrder(verdict, reason.strip(), visit.now, visit.visitor.name)
    ended = visit.console.dead_letters.end(Choice(ids=tuple(ids)), "open", given, dry_run=not sure)
    if not sure:
        rows = [row(letter) for letter in ended.letters]
        return visit.show("dead_letters_dry_run.html", DryRun(verdict, given.reason, rows))
    ended.check_none_gone()
    return visit.done("/dead-letters?" + urlencode({"done": f"{ended.ended.done} {verdict}"}))


def groups(letters: Iterable[Letter]) -> list[Group]:
    """By cause, the largest group first."""
    found: dict[tuple[str, str, str, str], list[Letter]] = {}
    for letter in letters:
        about = letter.about
        found.setdefault((about.stage, about.topic, about.error, cause(about.message)), []).append(letter)
    made = [
        Group(
            *key,
            len(own),
            own[0].about.time,
            own[-1].about.time,
            [row(letter) for letter in own[:SHOWN_OF_A_GROUP]],
        )
        for key, own in found.items()
    ]
    return sorted(made, key=lambda group: -group.count)


def cause(message: str) -> str:
    """The message without what differs from one record to the next."""
    return VARIES.sub("…", message)


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
