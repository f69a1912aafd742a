"""Replaying and discarding dead letters, one or many: by their ids or by a filter with a name, with a dry run first.

The form of a dry run has the digest of the letters that it showed: if others match by then, nothing is done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form
from fastapi.responses import Response

from nightdesk.console.frame import Changing, SeeingEverything, changing, page
from nightdesk.console.pages.dead_letters import Filter, LetterRow, row
from nightdesk.console.replays import Run, new_id
from nightdesk.console.visitors import Role
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.dead_letters.ending import LetterOrder, Verdict
from nightdesk.operations.dead_letters.handling import How

router = APIRouter()

SHOWN_OF_A_DRY_RUN = 500
# The page shows the result of an order that is carried out within this time, and the progress of a longer one.
SOON_S = 5.0


@dataclass(frozen=True, slots=True)
class DryRun:
    """What an order would do, before it is given: to the letters that are named, or to all of a filter with a name.
    `expected` tells whether the same letters match when the order is given.
    """

    verdict: Verdict
    reason: str
    letters: Sequence[LetterRow]
    count: int
    ids: Sequence[str]
    filter: Filter
    filter_name: str
    expected: str


@dataclass(frozen=True, slots=True)
class RunView:
    """The page of an order that runs. `problem` says why not all was done."""

    person: str
    verdict: str
    filter_name: str
    total: int
    done: int
    is_over: bool
    problem: str


@dataclass(frozen=True, slots=True)
class Order:
    """The form: a verdict about the letters with these ids, or about all that match the filter."""

    verdict: Annotated[Verdict, Form()]
    ids: Annotated[list[str] | None, Form()] = None
    reason: Annotated[str, Form()] = ""
    sure: Annotated[str, Form()] = ""
    filter_name: Annotated[str, Form()] = ""
    expected: Annotated[str, Form()] = ""
    stage: Annotated[str, Form()] = ""
    topic: Annotated[str, Form()] = ""
    error: Annotated[str, Form()] = ""
    subject: Annotated[str, Form()] = ""
    cause: Annotated[str, Form()] = ""
    since: Annotated[str, Form()] = ""
    until: Annotated[str, Form()] = ""

    @property
    def filter(self) -> Filter:
        return Filter(**{name: getattr(self, name).strip() for name in Filter.__dataclass_fields__})

    def check(self) -> None:
        """Raises `Failure` unless it says which letters, and why."""
        if not self.ids and not self.filter.is_set:
            remedy = "Go back and tick those that are meant, or set a filter"
            raise Failure("no letters are chosen", remedy, FailureKind.INVALID)
        if not self.ids and not self.filter_name.strip():
            raise Failure("the filter has no name", "Go back and give one: it is in the audit", FailureKind.INVALID)
        if self.verdict == "discarded" and not self.reason.strip():
            raise Failure("discarding needs a reason", "Go back and give one: it is in the audit", FailureKind.INVALID)
        if self.sure and not self.ids and not self.expected:
            raise Failure(
                "there was no dry run, so nobody has seen which letters match",
                "Make a dry run first",
                FailureKind.INVALID,
            )


@changing(router, "/dead-letters")
def resolve(visit: Changing, order: Annotated[Order, Depends(Order)]) -> Response:
    """Show what would happen or, if the form is that of the dry run, do it."""
    visit.visitor.check(Role.operator)
    order.check()
    name = "" if order.ids else order.filter_name.strip()
    person = visit.visitor.person
    given = LetterOrder(order.verdict, order.reason.strip(), visit.now, person.name, name, person.login)
    choice, letters = order.filter.choice(visit.now, order.ids or ()), visit.console.dead_letters
    if not order.sure:
        found = letters.end(choice, "open", given, How(dry_run=True))
        rows = [row(letter) for letter in found.letters[:SHOWN_OF_A_DRY_RUN]]
        of = (len(found.letters), order.ids or (), order.filter, name, found.digest)
        return visit.show("dead_letters_dry_run.html", DryRun(order.verdict, given.reason, rows, *of))
    run = Run(new_id(), visit.visitor.name, order.verdict, name or "letters by id")
    visit.console.runs.start(
        run, lambda begin: letters.end(choice, "open", given, How(False, False, order.expected, begin))
    )
    if run.wait(SOON_S) and not run.problem:
        return visit.done("/dead-letters?" + urlencode({"done": f"{run.done} {order.verdict}"}))
    return visit.done(f"/dead-letters/runs/{run.id_}")


@page(router, "/dead-letters/runs/{run_id}")
def show_run(visit: SeeingEverything, run_id: str) -> Response:
    """How far an order has come."""
    run = visit.console.runs.of(run_id)
    if run is None:
        raise Failure("this order is not known here any more", "Its records are in the audit", FailureKind.NOT_FOUND)
    view = RunView(run.person, run.verdict, run.filter_name, run.total, run.done, run.is_over, run.problem)
    return visit.show("dead_letters_run.html", view)
