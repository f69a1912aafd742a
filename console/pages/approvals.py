"""Approvals: what waits for a person, the exact payload, what the agent saw, and the person's answer.

The form sends the hash of what the person saw, and how many newer events were shown beside it. An answer to anything
else, or to a decision that somebody has answered, is not sent, and the person is told. Two answers at the same moment
are both sent: the act stage counts the first, and the page tells the second person so
(docs/decisions/0034-approvals-and-their-subject.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Form
from fastapi.responses import Response

from nightdesk.console.answering import Given, NotSent, Verdict, send_answer, waiting_for
from nightdesk.console.frame import Changing, Page, Visit, Visiting, changing, page
from nightdesk.console.pages.story import CaseView, case_view, seen_by
from nightdesk.console.visitors import Role
from nightdesk.operations.approvals import given_answers, similar, waiting_decisions
from nightdesk.operations.cases import trace
from nightdesk.processors.playbook.failure import NOBODY_ANSWERED
from nightdesk.sinks.approval_answers import GivenAnswer
from nightdesk.sinks.approvals import Waiting
from nightdesk.sinks.similar_approvals import SimilarApprovals
from nightdesk.sinks.story import CaseStory, EventStory

router = APIRouter()
PAGE = Page("approvals", "Approvals", "a", router)


@dataclass(frozen=True, slots=True)
class Approvals:
    """The page. The decision that expires first comes first."""

    waiting: Sequence[Waiting]


@dataclass(frozen=True, slots=True)
class Card:
    """One decision. `waiting` is None once it has an answer; `sent` is the visitor's answer while it is not recorded,
    and `known` how many of the visitor's answers were recorded before it. `problem` says why an answer was not sent,
    and `edited` is what the person wrote then. `expired_letter` is the dead letter of a decision that nobody answered:
    who replays it has people asked again. `refusal` says why the visitor may not approve it, though the role would
    allow that.
    """

    decision_id: str
    waiting: Waiting | None
    answers: Sequence[GivenAnswer]
    events: Sequence[EventStory]
    case: CaseView | None
    may_answer: bool
    refusal: str
    sent: str
    known: int
    is_settled: bool
    problem: str
    similar: SimilarApprovals | None
    edited: str
    expired_letter: str
    may_ask_again: bool


@dataclass(frozen=True, slots=True)
class Unsent:
    """Why an answer was not sent, and what the person wrote; empty if there was none."""

    problem: str = ""
    edited: str = ""
    status: HTTPStatus = HTTPStatus.CONFLICT


@page(router, "/approvals")
def list_waiting(visit: Visiting) -> Response:
    """The decisions that wait; the one that expires first comes first."""
    waiting = [one for one in waiting_decisions(visit.console.installation) if visit.visitor.sees(one.agent)]
    return visit.show("approvals.html", Approvals(sorted(waiting, key=lambda one: one.expires_at)))


@page(router, "/approvals/{decision_id}")
def show(
    visit: Visiting, decision_id: str, sent: Literal["", "approve", "reject", "edit"] = "", known: int = 0
) -> Response:
    return _show(visit, decision_id, Unsent(), sent, known)


@changing(router, "/approvals/{decision_id}")
def give(
    visit: Changing,
    decision_id: str,
    verdict: Annotated[Verdict, Form()],
    payload_sha256: Annotated[str, Form()],
    newer_events: Annotated[int, Form()] = 0,
    reason: Annotated[str, Form()] = "",
    parameters: Annotated[str, Form()] = "",
) -> Response:
    """Send the answer, unless something else waits now than what the person saw."""
    given = Given(verdict, payload_sha256, newer_events, reason, parameters)
    known = _of(visit, given_answers(visit.console.installation, decision_id))
    try:
        send_answer(visit.console.installation, visit.visitor, decision_id, given)
    except NotSent as unsent:
        return _show(visit, decision_id, Unsent(unsent.problem, parameters, unsent.status))
    return visit.done(f"/approvals/{quote(decision_id)}?sent={verdict}" + (f"&known={known}" if known else ""))


def _of(visit: Visit, answers: Sequence[GivenAnswer]) -> int:
    """How many of the answers are the visitor's."""
    return sum(one.person == visit.visitor.name for one in answers)


def _show(visit: Visit, decision_id: str, unsent: Unsent, sent: str = "", known: int = 0) -> Response:
    installation = visit.console.installation
    # The card is read last, so that no form is shown below an answer that has ended the decision.
    answers = given_answers(installation, decision_id)
    waiting = waiting_for(installation, visit.visitor, decision_id)
    story = seen_by(visit.visitor, trace(installation, decision_id))
    is_open = bool(sent) and _of(visit, answers) <= known
    case = next((case for case in story.cases if any(one.decision_id == decision_id for one in case.decisions)), None)
    letter = "" if case is None or waiting is not None else _expired(case)
    view = Card(
        decision_id,
        waiting,
        answers,
        story.events,
        None if case is None else case_view(visit.visitor, case),
        waiting is not None and visit.visitor.may(Role.approver, waiting.agent),
        "" if waiting is None else waiting.refusal(visit.visitor.name),
        sent if is_open else "",
        known,
        not is_open and (waiting is not None or case is None or case.status != "running"),
        unsent.problem,
        None if waiting is None else similar(installation, waiting, visit.now),
        unsent.edited,
        letter,
        bool(letter) and visit.visitor.may(Role.operator),
    )
    return visit.show("approval.html", view, unsent.status if unsent.problem else HTTPStatus.OK)


def _expired(case: CaseStory) -> str:
    """The dead letter of a decision that nobody answered, unless something was done with it since."""
    last = case.timeline[-1] if case.timeline else None
    letters = [letter for letter in case.dead_letters if letter.error == NOBODY_ANSWERED]
    return letters[-1].dead_letter_id if letters and last is not None and last.kind == "dead_letter" else ""
