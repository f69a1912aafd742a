"""The types of `AuditRecord.detail`: what each kind of audit record says beyond the fields that all of them have.

The detail is the JSON text of one of these models; `audit_kinds` says which kind has which. Whoever writes an audit
record builds the model (`audit_records`), and whoever reads one gets it back with `audit_kinds.read`. The reference for
people who write SQL, docs/reference/audit.md, is generated from the models and their descriptions.

JSON that came from outside (an event's data, parameters, a handler's result) is text inside the detail as well, exactly
as it came: parsing it could change a number.
"""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from nightdesk.schemas.records import (
    Fallback,
    Kind,
    StepCause,
    StepOutcome,
    Verdict,
)

# How sure we are of who gave an answer: the person's own key signed it, nothing proves the name, or the person has a
# key that did not sign it.
Identity = Literal["verified", "claimed", "forged"]


class Detail(BaseModel):
    """Frozen; a field that the model does not name is an error for whoever writes, and ignored by whoever reads."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class EventDetail(Detail):
    """The event itself."""

    data: str = Field(
        description="data of the event, as JSON text; only its first 10,000 characters if no case was made of it"
    )
    time: datetime = Field(description="when the event happened, as its producer says")
    partition: int | None = Field(default=None, description="partition of the ingest topic that the event lies in")
    offset: int | None = Field(default=None, description="offset of the event in that partition")


class WaitDetail(Detail):
    """How long the case waits."""

    until: datetime = Field(description="when the case is tried again, or how long it waits at most")
    cause: str = Field(default="", description="the gate of the admission queue that keeps the case, if one does")


class RefusalDetail(Detail):
    """Why the budget stage does not let the case begin."""

    cause: StepCause = Field(
        description="spent if the day's money is, stale if the event is too old, unpriced if its model has no price"
    )


class HaltDetail(Detail):
    """The decision waits until an order to stop is lifted, or goes on."""

    cause: Literal["order"] = Field(description="what it waits for: always order")
    waited_s: int | None = Field(default=None, description="how long it waited, in seconds; null while it waits")


class DecisionDetail(Detail):
    """What explains a decision."""

    kind: Kind = Field(description="kind of the action that was decided on")
    parameters: str = Field(description="parameters of the action, as JSON text")
    reasoning: str = Field(description="reasoning that whoever decided gave")
    verdicts: tuple[Verdict, ...] = Field(default=(), description="result of each rule")
    fallbacks: tuple[Fallback, ...] = Field(default=(), description="providers that gave no answer")
    prompt_sha256: str | None = Field(default=None, description="SHA-256 digest of the prompt; null if rules decided")
    reserved_microusd: int = Field(
        default=0,
        description="most that the case may have spent by the end of this step, in millionths of a US dollar",
    )
    disposition_reason: str = Field(default="", description="reason for the disposition")
    model_calls: int = Field(
        default=0, description="number of questions that the case has asked models by the end of this step"
    )
    low_confidence: bool = Field(
        default=False, description="true if the answer's confidence was below what its action needs"
    )
    undecided: bool = Field(default=False, description="true if neither a model nor a rule could decide")
    cause: StepCause = Field(
        default="",
        description="why the rules or a person got the step without a question to a model: spent if the day's money is,"
        " stale if the event is too old, waited if the step has waited for too long; else empty",
    )
    unanswered_microusd: int = Field(
        default=0,
        description="part of the cost that is for calls without an answer, in millionths of a US dollar; the most that"
        " such a call may have cost if nobody knows",
    )
    baseline_s: int = Field(
        default=0, description="time that the case takes a person, in seconds, as the charter says; 0 if it does not"
    )
    baseline_microusd: int = Field(
        default=0,
        description="cost of the case where a person handles it, in millionths of a US dollar, as the charter says",
    )
    day_budget_microusd: int = Field(
        default=0,
        description="most that the agent may spend on models in a day by its charter, in millionths of a US dollar",
    )


class ActionDetail(Detail):
    """What the playbook of an action really did."""

    outcomes: tuple[StepOutcome, ...] = Field(description="outcome of each step, in the order of the playbook")


class StepCostDetail(Detail):
    """A step whose cost is not known, or was corrected."""

    case_id: str = Field(description="case that the step belongs to")
    held_microusd: int = Field(description="held for the step before it began, in millionths of a US dollar")
    claimed_microusd: int = Field(description="what the step is claimed to have cost, in millionths of a US dollar")
    corrected_microusd: int | None = Field(
        default=None, description="what it cost according to a person, in millionths of a US dollar"
    )
    person: str | None = Field(default=None, description="who corrected the cost")


class ControlDetail(Detail):
    """An order to the stages."""

    order: Literal[
        "charter", "promote", "retire", "installation", "pause", "resume", "stop_all", "observed", "unreadable"
    ] = Field(
        description="the order; observed if a charter only observes the bound that would have caused it; unreadable if"
        " a worker cannot read the promoted charter and goes on with another; installation if the topics were given to"
        " one"
    )
    issued_by: str = Field(description="who gave the order")
    login: str = Field(
        default="", description="login of whoever gave it in the console: issuer and subject, with a space between them"
    )
    would: str | None = Field(default=None, description="with observed: the order that was not given")
    applies_to: Literal["new", "waiting"] | None = Field(
        default=None, description="with promote: whether the charter restricts cases that wait, too"
    )


class ForgottenDetail(Detail):
    """Whose records were deleted, without the name."""

    digest: str = Field(description="keyed digest of the subject: HMAC-SHA256, in hexadecimal digits")
    issued_by: str = Field(description="who had them deleted, as the command says")
    rows: int = Field(description="number of rows that were deleted, of all tables together")


class CancelledDetail(Detail):
    """A follow-up that will not come, and why."""

    timer_id: str = Field(description="id of the timer of the follow-up")
    case_id: str | None = Field(default=None, description="case that asked for the follow-up")
    due_at: datetime = Field(description="when the follow-up would have come")
    event_id: str = Field(default="", description="event that cancelled it; empty if a person did")
    person: str = Field(default="", description="person who cancelled it, as the command says; empty if an event did")


class NotificationDetail(Detail):
    """A message to the people of a route."""

    route: str = Field(description="route of the settings that the message was for")
    event_class: str = Field(description="class of the events that it was about")
    count: int = Field(description="number of events that it was about")
    sent: bool = Field(description="whether the route's channel took it; false if another route gets it instead")
    cause: Literal["events", "silence", "end"] = Field(
        default="events",
        description="why: there were `events` to tell; nobody took care of them, so that the next route is told"
        " (`silence`); all of them are taken care of, and the channel closes the message (`end`)",
    )


class ParkedDetail(Detail):
    """Where a record waits, and for what."""

    behind: str = Field(description="id of the dead letter that must be replayed or discarded first")
    topic: str = Field(description="topic of the record, without the prefix")
    partition: int = Field(description="partition of the record")
    offset: int = Field(description="offset of the record")


class ReofferDetail(Detail):
    """Who offered an event again, to whom, and where it lay."""

    agent: str = Field(description="agent that it is offered to; empty for every one that did not take it")
    person: str = Field(description="who offered it, as the command was told")
    reason: str = Field(default="", description="reason that the person gave")
    partition: int = Field(description="partition of the ingest topic that it was read from")
    offset: int = Field(description="offset that it was read from")


class NotReleasedDetail(Detail):
    """An attempt to release parked records by somebody who could not have read the dead letter."""

    dead_letter_id: str = Field(description="id of the dead letter that was named")
    at: str = Field(description="where the attempt is in the log: topic, partition and offset, separated by colons")
