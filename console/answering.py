"""The rules by which an answer to an approval is sent, the same for the page, for scripts, for Slack and for a webhook.

An answer counts only for what its person saw: `payload_sha256` is the hash of the card, and `newer_events` the number
of events that were shown beside it. In the end the act stage decides which answer counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Literal

from nightdesk.console.visitors import Role, Visitor
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.approvals import ApprovalAnswer, answer, edited_parameters, waiting_decision
from nightdesk.operations.installation import Installation
from nightdesk.operations.what_if import Proposal, consider
from nightdesk.sinks.approvals import Waiting
from nightdesk.sinks.story import parsed

Verdict = Literal["approve", "reject", "edit"]

NO_REASON = "Say why you reject it: the reason is in the audit"
UNUSED_EDIT = "You changed the parameters: use the button below them, or put them back as they were"
CHANGED = "What is shown has changed since you loaded the page. Look at it again"
ANSWERED = "The decision does not wait any more, so your answer was not sent"


@dataclass(frozen=True, slots=True)
class Given:
    """An answer as its person gave it. `parameters` is what the person wrote; empty without an edit."""

    verdict: Verdict
    payload_sha256: str
    newer_events: int = 0
    reason: str = ""
    parameters: str = ""


class NotSent(Exception):
    """Why an answer was not sent, for the person."""

    def __init__(self, problem: str, status: HTTPStatus = HTTPStatus.CONFLICT) -> None:
        super().__init__(problem)
        self.problem = problem
        self.status = status


def waiting_for(installation: Installation, visitor: Visitor, decision_id: str) -> Waiting | None:
    """The decision with exactly this id, if it waits and concerns the person. Raises `Failure`."""
    try:
        found = waiting_decision(installation, decision_id)
    except Failure as failure:
        if failure.kind is FailureKind.NOT_FOUND:
            return None
        raise
    return found if found.decision_id == decision_id and visitor.sees(found.agent) else None


def send_answer(installation: Installation, visitor: Visitor, decision_id: str, given: Given) -> Waiting:
    """Send the answer. Returns the decision that it is for. Raises `NotSent`, `Forbidden` without the role, and
    `Failure`.
    """
    waiting = waiting_for(installation, visitor, decision_id)
    if waiting is None:
        raise NotSent(ANSWERED)
    visitor.check(Role.approver, waiting.agent)
    _check(waiting, visitor, given)
    edited = _edited(installation, visitor, waiting, given.parameters) if given.verdict == "edit" else None
    answer(installation, waiting, ApprovalAnswer(given.verdict, given.reason.strip(), edited), visitor.person)
    return waiting


def _check(waiting: Waiting, visitor: Visitor, given: Given) -> None:
    if waiting.payload_sha256 != given.payload_sha256 or len(waiting.newer_events) > given.newer_events:
        raise NotSent(CHANGED)
    if given.verdict == "reject" and not given.reason.strip():
        raise NotSent(NO_REASON, HTTPStatus.BAD_REQUEST)
    if given.verdict == "approve" and given.parameters and parsed(given.parameters) != waiting.parameters:
        raise NotSent(UNUSED_EDIT)
    if given.verdict != "reject" and (refused := waiting.refusal(visitor.name, edits=given.verdict == "edit")):
        raise NotSent(refused, HTTPStatus.FORBIDDEN)


def _edited(installation: Installation, visitor: Visitor, waiting: Waiting, text: str) -> str:
    """The parameters that the person wrote. Raises `NotSent` if the gates would refuse them, because the one answer
    that counts would be used for nothing.
    """
    try:
        edited = edited_parameters(text)
        found = consider(installation, waiting.decision_id, Proposal(waiting.action, edited), visitor.sees).result
    except Failure as failure:
        raise NotSent(failure.message, HTTPStatus.BAD_REQUEST) from None
    if found.disposition == "refused":
        refused = f"with these parameters the charter refuses {waiting.action}: {found.reason}"
        raise NotSent(refused, HTTPStatus.BAD_REQUEST)
    return edited
