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

from nightdesk.console.frame import Changing, Page, Visit, Visiting, changing, page
from nightdesk.console.pages.story import CaseView, case_view, seen_by
from nightdesk.console.visitors import Role
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.approvals import (
    ApprovalAnswer,
    answer,
    edited_parameters,
    given_answers,
    similar,
    waiting_decision,
    waiting_decisions,
)
from nightdesk.operations.cases import trace
from nightdesk.operations.what_if import Proposal, consider
from nightdesk.processors.playbook.failure import NOBODY_ANSWERED
from nightdesk.sinks.approval_answers import GivenAnswer
from nightdesk.sinks.approvals import Waiting
from nightdesk.sinks.similar_approvals import SimilarApprovals
from nightdesk.sinks.story import CaseStory, EventStory, parsed

router = APIRouter()
PAGE = Page("approvals", "Approvals", "a", router)

Verdict = Literal["approve", "reject", "edit"]

NO_REASON = "Say why you reject it: the reason is in the audit"
UNUSED_EDIT = "You changed the parameters: use the button below them, or put them back as they were"
CHANGED = "What is shown has changed since you loaded the page. Look at it again"
ANSWERED = "It does not wait any more, so your answer was not sent"


@dataclass(frozen=True, slots=True)
class Approvals:
    """The page: what expires first comes first."""

    waiting: Sequence[Waiting]


@dataclass(frozen=True, slots=True)
class Card:
    """One decision. `waiting` is None once it has an answer; `sent` is the visitor's answer, which may not be recorded
    yet. `problem` says why an answer was not sent, and `edited` is what the person wrote then. `expired_letter` is the
    dead letter of a decision that nobody answered: who replays it has people asked again. `refusal` says why the
    visitor may not approve it, though the role would allow that.
    """

    decision_id: str
    waiting: Waiting | None
    answers: Sequence[GivenAnswer]
    events: Sequence[EventStory]
    case: CaseView | None
    may_answer: bool
    refusal: str
    sent: str
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
    """What expires first comes first."""
    waiting = [one for one in waiting_decisions(visit.console.installation) if visit.visitor.sees(one.agent)]
    return visit.show("approvals.html", Approvals(sorted(waiting, key=lambda one: one.expires_at)))


@page(router, "/approvals/{decision_id}")
def show(visit: Visiting, decision_id: str, sent: Literal["", "approve", "reject", "edit"] = "") -> Response:
    return _show(visit, decision_id, Unsent(), sent)


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
    """Send the answer, unless it is to something else than what the person saw."""
    installation = visit.console.installation
    waiting = _waiting(visit, decision_id)
    if waiting is None:
        return _show(visit, decision_id, Unsent(ANSWERED))
    visit.visitor.check(Role.approver, waiting.agent)
    if waiting.payload_sha256 != payload_sha256 or len(waiting.newer_events) > newer_events:
        return _show(visit, decision_id, Unsent(CHANGED, parameters))
    if verdict == "reject" and not reason.strip():
        return _show(visit, decision_id, Unsent(NO_REASON, parameters, HTTPStatus.BAD_REQUEST))
    if verdict == "approve" and parameters and parsed(parameters) != waiting.parameters:
        return _show(visit, decision_id, Unsent(UNUSED_EDIT, parameters))
    if verdict != "reject" and (refused := waiting.refusal(visit.visitor.name, edits=verdict == "edit")):
        return _show(visit, decision_id, Unsent(refused, parameters, HTTPStatus.FORBIDDEN))
    edited = None
    if verdict == "edit":
        try:
            edited = _edited(visit, waiting, parameters)
        except Failure as failure:
            return _show(visit, decision_id, Unsent(failure.message, parameters, HTTPStatus.BAD_REQUEST))
    answer(installation, waiting, ApprovalAnswer(verdict, reason.strip(), edited), visit.visitor.person)
    return visit.done(f"/approvals/{quote(decision_id)}?sent={verdict}")


def _waiting(visit: Visit, decision_id: str) -> Waiting | None:
    try:
        found = waiting_decision(visit.console.installation, decision_id)
    except Failure as failure:
        if failure.kind is FailureKind.NOT_FOUND:
            return None
        raise
    return found if found.decision_id == decision_id and visit.visitor.sees(found.agent) else None


def _edited(visit: Visit, waiting: Waiting, text: str) -> str:
    """The parameters that the person wrote. Raises `Failure` if the gates would refuse them: then the answer would be
    used up and nothing done.
    """
    edited = edited_parameters(text)
    proposal = Proposal(waiting.action, edited)
    found = consider(visit.console.installation, waiting.decision_id, proposal, visit.visitor.sees).result
    if found.disposition == "refused":
        raise Failure(f"with these parameters the charter refuses {waiting.action}: {found.reason}")
    return edited


def _show(visit: Visit, decision_id: str, unsent: Unsent, sent: str = "") -> Response:
    installation, waiting = visit.console.installation, _waiting(visit, decision_id)
    story = seen_by(visit.visitor, trace(installation, decision_id))
    answers = given_answers(installation, decision_id)
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
        sent,
        not (sent and not answers) and (waiting is not None or case is None or case.status != "running"),
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
