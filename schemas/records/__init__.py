"""The records that flow, as frozen pydantic models beside their hand-written Avro schemas in `avsc/`.

Each module has the records of one family. Whatever other modules need can be imported from here, except a
record that only its stage knows.

`tests/schemas/test_records.py` compares model and schema field by field; change both, and run `python -m
tests.schemas.keep`, so that `examples/` has an example of every version. JSON inside a record (`data`, `parameters`,
`detail`) is text, so that a reader without our code can still show it.
"""

from nightdesk.schemas.records.approvals import ApprovalReply
from nightdesk.schemas.records.audit import AuditKind, AuditRecord
from nightdesk.schemas.records.base import Count, Record
from nightdesk.schemas.records.cases import (
    Case,
    CaseStatus,
    Kind,
    PastStep,
    Spent,
    StepCause,
    StepOutcome,
    StepStatus,
)
from nightdesk.schemas.records.control import (
    CallFate,
    ControlCommand,
    LogPlace,
    ObeyedOrder,
    UnreadableCharter,
    WorkerReport,
    WorkerState,
)
from nightdesk.schemas.records.dead_letters import DeadLetter, DeadLetterEnd
from nightdesk.schemas.records.decisions import NO_PROVIDER, Decision, Disposition, Fallback, Verdict
from nightdesk.schemas.records.events import Event, SubjectEvent
from nightdesk.schemas.records.forgotten import ForgottenSubject
from nightdesk.schemas.records.limits import BudgetEntry, RateRequest
from nightdesk.schemas.records.notifications import EventClass, Notification
from nightdesk.schemas.records.timers import CancelCondition, Timer

__all__ = [
    "NO_PROVIDER",
    "ApprovalReply",
    "AuditKind",
    "AuditRecord",
    "BudgetEntry",
    "CallFate",
    "CancelCondition",
    "Case",
    "CaseStatus",
    "ControlCommand",
    "Count",
    "DeadLetter",
    "DeadLetterEnd",
    "Decision",
    "Disposition",
    "Event",
    "EventClass",
    "Fallback",
    "ForgottenSubject",
    "Kind",
    "LogPlace",
    "Notification",
    "ObeyedOrder",
    "PastStep",
    "RateRequest",
    "Record",
    "Spent",
    "StepCause",
    "StepOutcome",
    "StepStatus",
    "SubjectEvent",
    "Timer",
    "UnreadableCharter",
    "Verdict",
    "WorkerReport",
    "WorkerState",
]
