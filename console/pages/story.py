"""A case from its event to its end, in order: the decision, the rules' verdicts, attempts, undo, money."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi.responses import Response

from nightdesk.console.frame import Visit
from nightdesk.console.visitors import Role, Visitor
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.cases import trace
from nightdesk.schemas.records import DeadLetter
from nightdesk.sinks.story import CaseStory, DecisionStory, EventStory, Line, OutcomeStory, Story, parsed

# The titles of records by kind; another kind is its own title.
TITLES = {
    "received": "Event received",
    "decided": "Decided",
    "acted": "Acted",
    "approval": "Approval",
    "queued": "Waits",
    "deferred": "Waits",
    "parked": "Parked",
    "dead_letter": "Dead letter",
    "replayed": "Replayed",
    "discarded": "Discarded",
    "refused": "Refused",
    "budget": "Money",
    "cancelled": "Follow-up cancelled",
    "notified": "People told",
    "outage": "Outage",
}
# Why a provider was skipped without a question.
NEVER_ASKED = "not_configured"
# Prompts and replies may hold more of an event than the case shows.
ROLE_FOR_TEXTS = Role.approver
UNDONE = ("undone", "undo_failed")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One step of a playbook that ran. `result` is a value, not text."""

    position: int
    handler: str
    status: str
    attempts: int
    from_cache: bool
    latency_ms: int
    started_at: datetime | None
    result: Any
    error: str | None
    is_undo: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of the case, with what it is about. `anchor` is its place on the page."""

    anchor: str
    kind: str
    title: str
    time: datetime
    after_s: float
    step: int
    status: str
    reason: str
    decision: DecisionStory | None
    parameters: Any
    attempts: Sequence[Attempt]
    letters: Sequence[DeadLetter]


@dataclass(frozen=True, slots=True)
class CaseView:
    """One case, with its entries in order."""

    case: CaseStory
    entries: Sequence[Entry]
    waiting_decision: str
    may_read_texts: bool

    @property
    def asked_models(self) -> bool:
        """Whether a model was asked, or may have been."""
        passed_over = (skipped for one in self.case.decisions for skipped in one.fallbacks)
        answered = any(one.model for one in self.case.decisions)
        return answered or any(skipped.reason != NEVER_ASKED for skipped in passed_over)


@dataclass(frozen=True, slots=True)
class StoryView:
    """The page: the events, each with its cases, and what waits now."""

    story: Story
    events: Sequence[tuple[EventStory, Sequence[CaseView]]]
    other_cases: Sequence[CaseView]


def show(visit: Visit, id_: str) -> Response:
    """The page of a subject, event, case or decision."""
    story = seen_by(visit.visitor, trace(visit.console.installation, id_))
    views = {case.case_id: case_view(visit.visitor, case) for case in story.cases}
    events = [(event, [views[case_id] for case_id in event.case_ids if case_id in views]) for event in story.events]
    named = {case_id for event in story.events for case_id in event.case_ids}
    others = [view for case_id, view in views.items() if case_id not in named]
    return visit.show("story.html", StoryView(story, events, others))


def seen_by(visitor: Visitor, story: Story) -> Story:
    """The part of a story that concerns the visitor. Raises `Failure` if no part of it does."""
    if not visitor.agents:
        return story
    cases = [case for case in story.cases if visitor.sees(case.agent)]
    ids = {case.case_id for case in cases}
    events = [event for event in story.events if ids & set(event.case_ids) or visitor.agents & set(event.agents)]
    if not cases and not events:
        raise Failure(f"nothing is known of {story.asked!r} of your agents", "", FailureKind.NOT_FOUND)
    waits = None if story.waits is None else [wait for wait in story.waits if visitor.sees(wait.agent)]
    return story.model_copy(update={"cases": cases, "events": events, "waits": waits})


def case_view(visitor: Visitor, case: CaseStory) -> CaseView:
    """The case with its records as entries."""
    entries = list(_entries(case))
    waits = next((line.decision_id for line in reversed(case.timeline) if line.kind == "approval"), None)
    waiting = (waits or "") if case.status == "needs_approval" else ""
    return CaseView(case, entries, waiting, visitor.may(ROLE_FOR_TEXTS, case.agent))


def _entries(case: CaseStory) -> Iterator[Entry]:
    decisions = {decision.decision_id: decision for decision in case.decisions}
    last_act = {line.decision_id: line for line in case.timeline if line.kind == "acted"}
    for number, line in enumerate(case.timeline, start=1):
        decision = decisions.get(line.decision_id or "") if line.kind == "decided" else None
        yield Entry(
            f"e{number}",
            line.kind,
            TITLES.get(line.kind, line.kind.replace("_", " ").capitalize()),
            line.time,
            (line.time - case.received_at).total_seconds(),
            line.step,
            line.status,
            line.reason,
            decision,
            None if decision is None else parsed(decision.parameters),
            [_attempt(one) for one in case.outcomes if _belongs(one, line) and last_act.get(line.decision_id) is line],
            [letter for letter in case.dead_letters if line.kind == "dead_letter" and letter.time == line.time],
        )


def _belongs(outcome: OutcomeStory, line: Line) -> bool:
    return line.kind == "acted" and outcome.decision_id == line.decision_id


def _attempt(outcome: OutcomeStory) -> Attempt:
    return Attempt(
        outcome.position,
        outcome.handler,
        outcome.status,
        outcome.attempts,
        outcome.from_cache,
        outcome.latency_ms,
        outcome.started_at,
        parsed(outcome.result),
        outcome.error,
        outcome.status in UNDONE,
    )
