"""The types of an answer to "what was done, why, and what did it cost?". Built by `sinks.queries`, shown by `why`.

`model_dump(mode="json")` of a `Story` is the contract of `nightdesk why --output json`: add fields, never rename.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from nightdesk.schemas.audit import DecisionDetail
from nightdesk.schemas.records import DeadLetter, StepOutcome


def parsed(text: str) -> Any:
    """JSON text as a value; any other text as it is."""
    try:
        return json.loads(text)
    except ValueError:
        return text


class StoryPart(BaseModel):
    """The base of all types of a story. Frozen; fields that a newer writer adds are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DecisionStory(DecisionDetail):
    """One answer of a model or of the rules, with the verdicts of rules and gates. In its JSON the parameters are a
    value and not text. Costs are in millionths of a US dollar.
    """

    decision_id: str
    step: int
    action: str | None
    confidence: float | None
    disposition: str | None
    provider: str | None
    model: str | None
    input_tokens: int
    output_tokens: int
    cost_microusd: int
    latency_ms: int
    decided_at: datetime

    @field_serializer("parameters")
    def _parameters(self, text: str) -> Any:
        return parsed(text)


class OutcomeStory(StepOutcome):
    """The outcome of one step of a playbook, and the decision that it belongs to. In its JSON the result is a value and
    not text.
    """

    decision_id: str | None
    action: str | None
    step: int

    @field_serializer("result")
    def _result(self, text: str) -> Any:
        return parsed(text)


class Line(StoryPart):
    """One record of the audit, in short: the story in its order."""

    kind: str
    time: datetime
    step: int
    decision_id: str | None
    status: str
    reason: str


class CaseStory(StoryPart):
    """One agent's handling of one event."""

    case_id: str
    subject: str
    event_id: str
    event_source: str
    event_type: str
    agent: str | None
    charter_version: str | None
    status: str
    reason: str
    decisions: list[DecisionStory]
    outcomes: list[OutcomeStory]
    dead_letters: list[DeadLetter]
    timeline: list[Line]
    input_tokens: int
    output_tokens: int
    reserved_microusd: int
    cost_microusd: int
    received_at: datetime
    last_at: datetime
    traceparent: str | None


class EventStory(StoryPart):
    """An event and its end. `data` is None where the event could not be read. `agents` are those that took it or could
    not take it.
    """

    event_id: str
    event_source: str
    event_type: str
    time: datetime | None
    data: Any
    received_at: datetime
    status: str
    state: str
    reason: str
    case_ids: list[str]
    agents: list[str] = []


class Halt(StoryPart):
    """An order that keeps an agent from acting. Agent `*` is every one."""

    agent: str
    order: str
    issued_by: str
    login: str = ""
    reason: str
    since: datetime


class WaitingStepStory(StoryPart):
    """A step that waits now before it is decided, from the table of the stage in which it waits. `gate` is what it
    waits for, and `waits_for` the same as text for people. After `until` a person gets the case; pauses of its agent
    move that time.
    """

    case_id: str
    step: int
    agent: str
    subject: str
    gate: str
    waits_for: str
    since: datetime
    until: datetime
    reason: str


class Story(StoryPart):
    """Everything about one subject, or the part of it that an event, case or decision id names. `waits` is None if it
    cannot be read.
    """

    asked: str
    subject: str
    events: list[EventStory]
    cases: list[CaseStory]
    other_subjects: list[str]
    halts: list[Halt] = Field(default_factory=list)
    waits: list[WaitingStepStory] | None = Field(default_factory=list)
