"""The types of an answer to "what was done, why, and what did it cost?". Built by `sinks.queries`, shown by `why`.

`model_dump(mode="json")` of a `Story` is the contract of `nightdesk why --output json`: add fields, never rename.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """Frozen; what a newer writer adds is ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Verdict(Answer):
    """What one rule said about a decision."""

    rule: str
    passed: bool
    reason: str = ""


class DecisionStory(Answer):
    """One answer of a model or of the rules, with what the gates made of it. Costs are in millionths of a US dollar."""

    decision_id: str
    step: int
    action: str | None
    kind: str = ""
    confidence: float | None
    parameters: Any = None
    reasoning: str = ""
    verdicts: list[Verdict] = Field(default_factory=list)
    fallbacks: list[dict[str, Any]] = Field(default_factory=list)
    disposition: str | None
    disposition_reason: str = ""
    provider: str | None
    model: str | None
    prompt_sha256: str | None = None
    input_tokens: int
    output_tokens: int
    reserved_microusd: int = 0
    cost_microusd: int
    latency_ms: int
    decided_at: datetime


class OutcomeStory(Answer):
    """What happened when one step of a playbook ran."""

    decision_id: str | None
    action: str | None
    step: int
    step_id: str
    position: int
    handler: str
    status: str
    result: Any = None
    error: str | None = None
    attempts: int = 1
    from_cache: bool = False
    started_at: datetime
    latency_ms: int = 0


class Line(Answer):
    """One record of the audit, in short: the story in its order."""

    kind: str
    time: datetime
    step: int
    decision_id: str | None
    status: str
    reason: str


class CaseStory(Answer):
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
    dead_letters: list[dict[str, Any]]
    timeline: list[Line]
    input_tokens: int
    output_tokens: int
    reserved_microusd: int
    cost_microusd: int
    received_at: datetime
    last_at: datetime
    traceparent: str | None


class EventStory(Answer):
    """An event and its end. `data` is None where the event could not be read."""

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


class Halt(Answer):
    """An order that keeps an agent from acting. Agent `*` is every one."""

    agent: str
    order: str
    issued_by: str
    reason: str
    since: datetime


class Story(Answer):
    """Everything about one subject, or the part of it that an event, case or decision id names."""

    asked: str
    subject: str
    events: list[EventStory]
    cases: list[CaseStory]
    other_subjects: list[str]
    halts: list[Halt] = Field(default_factory=list)
