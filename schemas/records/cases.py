"""Cases and their earlier steps."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from nightdesk.schemas.bounds import Name, Text
from nightdesk.schemas.records.base import Count, Record
from nightdesk.schemas.records.events import Event

Kind = Literal["respond", "escalate", "research", "wait"]
StepStatus = Literal["done", "failed", "unknown", "skipped", "undone", "undo_failed", "would_have"]
CaseStatus = Literal[
    "running",
    "completed",
    "escalated",
    "waiting",
    "needs_approval",
    "deferred",
    "refused",
    "failed",
    "dry_run",
    "ignored",
]


# Why the budget stage gave a step to the charter's rules or to a person, or refused it: the day's money is spent, the
# event is too old, the step has waited for too long, or its model has no price.
StepCause = Literal["", "spent", "stale", "waited", "unpriced"]


class StepOutcome(Record):
    """The result of a playbook's step. `result` is JSON text; `from_cache` means that it is that of an earlier call."""

    step_id: Name = Field(description="id of the step of the playbook, which is its idempotency key")
    position: int = Field(description="place of the step in the playbook: 0 is the first")
    handler: Name = Field(description="handler that ran")
    status: StepStatus = Field(
        description="how the step ended; unknown if nobody can say whether the call was carried out, would_have if a"
        " dry run did not make it"
    )
    result: Text = Field(default="null", description="result of the handler, as JSON text; of would_have the request")
    error: Text | None = Field(default=None, description="error of the handler")
    attempts: Count = Field(default=1, description="number of calls that were made; 0 if none was needed")
    started_at: datetime = Field(description="when the step began")
    latency_ms: int = Field(default=0, description="time that the step took, in milliseconds")
    from_cache: bool = Field(default=False, description="true if the result is that of an earlier call")


class PastStep(Record):
    """An earlier step of a case, with what the next step needs to know. `interrupted_by` is the event that came while
    the step waited for a person; the step was then not executed.
    """

    step: int
    action: Name
    kind: Kind
    parameters: Text
    reasoning: Text
    outcomes: tuple[StepOutcome, ...]
    interrupted_by: Event | None = None


class Spent(Record):
    """What a case has used of its bounds so far. `worked_ms` is the time that models and handlers took, without
    waiting.
    """

    actions: Count = 0
    external_calls: Count = 0
    model_calls: Count = 0
    cost_microusd: Count = 0
    worked_ms: Count = 0


class Case(Record):
    """One agent's handling of one event. `step` 0 is the first; a research result starts the next step.

    `escalate_because` is set if no model may be asked any more (the budget is spent): the case goes to a person.
    `rules_because` is set if the charter's rules decide instead of a model. Both are for people, and `cause` is
    for programs: it is empty if the budget stage did not decide so. `reserved_microusd` is the most that the case may
    have spent when the step ends, `budget_day` is the day whose budget pays, and `closed_actions` are the actions whose
    cap has no room for the step.

    Three fields are about the step: how often it was given back undecided, what that may have cost, and since when it
    waits for a model (empty if it does not).

    `case_at` is when ingest first offered the event to the agent. Unlike `received_at`, from which the bounds count, it
    never changes, so every audit record of the case has it, and ClickHouse sorts by it. Older cases lack it.

    `stored_at` is when the broker stored its event, empty if that does not count any more, or is not known.
    """

    case_id: Name
    agent: Name
    charter_version: Name
    event: Event
    step: Count = 0
    received_at: datetime
    reserved_microusd: Count = 0
    spent: Spent = Spent()
    history: tuple[PastStep, ...] = ()
    escalate_because: Text = ""
    rules_because: Text = ""
    budget_day: Name = ""
    closed_actions: tuple[Name, ...] = ()
    returns: Count = 0
    returned_microusd: Count = 0
    waits_since: datetime | None = None
    case_at: datetime | None = None
    cause: StepCause = ""
    stored_at: datetime | None = None

    @property
    def aged_from(self) -> datetime:
        """From when its age counts: when its event was stored, though perhaps nobody read it for days, or the end of a
        wait that it chose.
        """
        return min(self.stored_at, self.received_at) if self.stored_at else self.received_at

    @property
    def subject(self) -> str:
        return self.event.subject
