"""The records that flow, as frozen pydantic models beside their hand-kept Avro schemas in `avsc/`.

Called by every room. `tests/schemas/test_records.py` holds that model and schema agree field by field; change both, and
run `python -m tests.schemas.keep`, so that an example of every version stays in `examples/`. JSON inside a record
(`data`, `parameters`, `detail`) is text, so that a reader without our code can still show it.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from schemas import upcasters

Kind = Literal["respond", "escalate", "research", "wait"]
Disposition = Literal["execute", "needs_approval", "dry_run", "refused", "deferred"]
StepStatus = Literal["done", "failed", "unknown", "skipped", "undone", "undo_failed"]
CaseStatus = Literal[
    "running", "completed", "escalated", "waiting", "needs_approval", "deferred", "refused", "failed", "ignored"
]

# Anyone who may produce can write any number: one that would give money or room back is no record.
Count = Annotated[int, Field(ge=0)]


class Record(BaseModel):
    """What all records share: frozen, and nothing in them that the schema does not name."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # Only where a word is lifted: on the path of every record a validator in Python costs.
        schema, mine = handler(source), upcasters.upcasters_of(cls.__name__)
        if not mine:
            return schema
        return core_schema.no_info_before_validator_function(lambda fields: upcasters.lift_all(mine, fields), schema)


class Event(Record):
    """Something happened outside: CloudEvents attributes. `data` is JSON text. The public API of the ingest topic."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: str = "application/json"
    data: str = "null"


class StepOutcome(Record):
    """What really happened when a playbook's step ran. `result` is JSON text; `from_cache`: it is that of an earlier
    call.
    """

    step_id: str
    position: int
    handler: str
    status: StepStatus
    result: str = "null"
    error: str | None = None
    attempts: Count = 1
    started_at: datetime
    latency_ms: int = 0
    from_cache: bool = False


class PastStep(Record):
    """An earlier step of a case, as the next one needs to know it."""

    step: int
    action: str
    kind: Kind
    parameters: str
    reasoning: str
    outcomes: tuple[StepOutcome, ...]


class Spent(Record):
    """What a case has used of its bounds so far."""

    actions: Count = 0
    external_calls: Count = 0
    model_calls: Count = 0
    cost_microusd: Count = 0


class Case(Record):
    """One agent's handling of one event. `step` 0 is the first; a research result comes back as the next step.

    `escalate_because` is set where no model may be asked any more (the budget is spent): it goes to a person.
    `reserved_microusd` is all that it may have spent when the step ends, `budget_day` whose money that is, and
    `closed_actions` those whose day has no room for it.
    """

    case_id: str
    agent: str
    charter_version: str
    event: Event
    step: Count = 0
    received_at: datetime
    reserved_microusd: Count = 0
    spent: Spent = Spent()
    history: tuple[PastStep, ...] = ()
    escalate_because: str = ""
    budget_day: str = ""
    closed_actions: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        return self.event.subject


class BudgetEntry(Record):
    """A line of an agent's ledger. `reserve` carries the case whose step asks for money; `settle` says what the step
    really cost, `expire` that nobody ever said so. `ended` says how it went, where the charter watches for anomalies.
    """

    entry_id: str
    kind: Literal["reserve", "settle", "release", "expire", "ended"]
    agent: str
    case_id: str
    amount_microusd: Count
    tokens: Count = 0
    time: datetime
    case: Case | None = None
    step: int = 0
    day: str = ""
    event_type: str = ""
    action: str = ""
    low_confidence: bool = False
    failed: bool = False


class Verdict(Record):
    """What one rule said about a decision."""

    rule: str
    passed: bool
    reason: str = ""


class Fallback(Record):
    """A provider that was passed over, and why."""

    provider: str
    reason: str
    detail: str = ""


class Decision(Record):
    """The typed answer for one step of a case, with everything that explains it and the gates' disposition of it."""

    decision_id: str
    case: Case
    action: str
    kind: Kind
    confidence: Annotated[float, Field(ge=0.0, le=1.0)]
    parameters: str
    reasoning: str
    provider: str
    model: str | None = None
    prompt_sha256: str | None = None
    disposition: Disposition
    disposition_reason: str = ""
    verdicts: tuple[Verdict, ...] = ()
    fallbacks: tuple[Fallback, ...] = ()
    input_tokens: Count = 0
    output_tokens: Count = 0
    cost_microusd: Count = 0
    latency_ms: Count = 0
    decided_at: datetime

    @property
    def subject(self) -> str:
        return self.case.event.subject


AuditKind = Literal[
    "received",
    "ignored",
    "rejected",
    "deferred",
    "refused",
    "decided",
    "approval",
    "queued",
    "acted",
    "dead_letter",
    "replayed",
    "discarded",
    "parked",
    "control",
]


class AuditRecord(Record):
    """A line of the audit. `status` is what the case came to with it; `detail` is JSON text, its shape named by
    `kind`.
    """

    record_id: str
    kind: AuditKind
    time: datetime
    subject: str
    event_id: str = ""
    event_source: str = ""
    event_type: str = ""
    case_id: str | None = None
    agent: str | None = None
    charter_version: str | None = None
    step: int = 0
    decision_id: str | None = None
    action: str | None = None
    confidence: float | None = None
    disposition: str | None = None
    status: CaseStatus
    provider: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_microusd: int = 0
    latency_ms: int = 0
    traceparent: str | None = None
    reason: str = ""
    detail: str = "null"


class Reminder(Record):
    """Send `value` to `topic` under `key` when it is due. `topic` is a name of the topic table, never another."""

    reminder_id: str
    subject: str
    due_at: datetime
    topic: str
    key: str
    value: bytes
    traceparent: str | None = None
    reason: str
    case_id: str | None = None


class Permit(Record):
    """Leave to act where a limit is set: asked for without `slot_at`, answered with it (when it may be).

    `limit` names what is limited, to `count` in `per_seconds`. `purpose` is what the leave is for, a decision or one
    call of a step, and `number` counts those that were asked for it.
    """

    permit_id: str
    limit: str
    count: int
    per_seconds: int
    purpose: str
    number: int
    decision: Decision
    time: datetime
    slot_at: datetime | None = None

    @property
    def subject(self) -> str:
        return self.decision.subject


class ControlCommand(Record):
    """An order to every stage; agent `*` is all. `key` compacts: `<agent>` for pause, resume and stop_all,
    `<agent>/promoted` for promote, `<agent>/<version>` for a charter.
    """

    key: str
    kind: Literal["charter", "promote", "pause", "resume", "stop_all"]
    agent: str
    charter_version: str | None = None
    charter: str | None = None
    reason: str = ""
    issued_by: str
    time: datetime


class ApprovalReply(Record):
    """A person's answer. It is bound to what was shown by `payload_sha256`; `parameters` only with `edit`."""

    decision_id: str
    subject: str
    verdict: Literal["approve", "reject", "edit"]
    payload_sha256: str
    parameters: str | None = None
    person: str
    reason: str = ""
    time: datetime


class DeadLetter(Record):
    """Why a record could not be done; travels in a header of the original bytes on `<topic>.dlq`.

    `attempts` counts this one and every replay before it, `replay_of` is the letter that was replayed. The first
    `original_headers` headers of the message are those that the record came with. `parks`: its subject's later records
    wait behind it.
    """

    dead_letter_id: str
    stage: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    error: str
    message: str
    traceback: str
    attempts: int = 1
    subject: str | None = None
    case_id: str | None = None
    program_version: str
    time: datetime
    attempted: str = ""
    replay_of: str | None = None
    original_headers: int | None = None
    parks: bool = False


class DeadLetterEnd(Record):
    """What a person made of a dead letter; travels in a header of an empty record, behind the letter on its topic."""

    dead_letter_id: str
    verdict: Literal["replayed", "discarded"]
    person: str
    reason: str = ""
    time: datetime


RECORDS: tuple[type[Record], ...] = (
    Event,
    Case,
    BudgetEntry,
    Decision,
    AuditRecord,
    Reminder,
    Permit,
    ControlCommand,
    ApprovalReply,
    DeadLetter,
    DeadLetterEnd,
)
