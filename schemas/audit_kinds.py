"""The kinds of audit records: when each is written, and which models its detail may be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from nightdesk.schemas.approval_details import ApprovalReminderDetail, ApprovalReplyDetail, ApprovalRequestDetail
from nightdesk.schemas.audit import (
    ActionDetail,
    CancelledDetail,
    ControlDetail,
    DecisionDetail,
    EventDetail,
    ForgottenDetail,
    HaltDetail,
    NotificationDetail,
    NotReleasedDetail,
    ParkedDetail,
    RefusalDetail,
    ReofferDetail,
    StepCostDetail,
    WaitDetail,
)
from nightdesk.schemas.outage_detail import OutageDetail
from nightdesk.schemas.question_detail import QuestionDetail
from nightdesk.schemas.records import (
    AuditKind,
    AuditRecord,
    DeadLetter,
    DeadLetterEnd,
)

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class RecordKind:
    """When records of a kind are written, and the models that their detail may be: none where it is always `null`."""

    meaning: str
    details: tuple[type[BaseModel], ...] = ()


KINDS: Mapping[AuditKind, RecordKind] = {
    "received": RecordKind("an agent takes an event: a case begins", (EventDetail,)),
    "ignored": RecordKind(
        "an event makes no case, because no agent takes it or it is a repetition; or somebody without the release token"
        " tried to release parked records; or a person wanted to cancel a follow-up that does not wait",
        (EventDetail, NotReleasedDetail, CancelledDetail),
    ),
    "rejected": RecordKind("an agent would take an event, but the event's data breaks its schema", (EventDetail,)),
    "deferred": RecordKind(
        "a case waits for room under the limit of its subject, or a step of it in the admission queue: for money, for"
        " room under the agent's limit, for a model; or it goes on after that",
        (WaitDetail,),
    ),
    "refused": RecordKind(
        "a rate limit or the budget keeps a case from beginning; with its place in the log, the event can be offered"
        " again",
        (EventDetail, RefusalDetail),
    ),
    "asked": RecordKind(
        "a model was asked for a step of a case, and answered or did not; written with what came of it",
        (QuestionDetail,),
    ),
    "decided": RecordKind("a model or the charter's rules decided on a step of a case", (DecisionDetail,)),
    "approval": RecordKind(
        "a person is asked to approve a decision, is reminded, or answers",
        (ApprovalRequestDetail, ApprovalReminderDetail, ApprovalReplyDetail),
    ),
    "queued": RecordKind(
        "a case or a decision waits: for a rate grant, for a system that is away, for another attempt, or because an"
        " order holds the agent; with status running it goes on, because the order was lifted",
        (WaitDetail, HaltDetail),
    ),
    "acted": RecordKind("the playbook of a decision has ended", (ActionDetail,)),
    "dead_letter": RecordKind("a record could not be processed and went to its topic's `.dlq`", (DeadLetter,)),
    "lost": RecordKind("the log deleted records before anybody read them", (DeadLetter,)),
    "replayed": RecordKind("a person replayed a dead letter", (DeadLetterEnd,)),
    "discarded": RecordKind("a person discarded a dead letter", (DeadLetterEnd,)),
    "parked": RecordKind("a record waits behind a dead letter of its subject", (ParkedDetail,)),
    "reoffered": RecordKind("a person offers an event again of which no case was made", (ReofferDetail,)),
    "control": RecordKind(
        "somebody, or the anomaly breaker, stops agents or lets them go on; or somebody promotes a charter",
        (ControlDetail,),
    ),
    "cancelled": RecordKind("a follow-up was cancelled, by an event of its subject or by a person", (CancelledDetail,)),
    "budget": RecordKind("the cost of a step is not known, or a person corrected it", (StepCostDetail,)),
    "notified": RecordKind("the people of a route were told of events, or could not be", (NotificationDetail,)),
    "outage": RecordKind(
        "a system has not answered a stage for a minute, or answers it again; each worker says so", (OutageDetail,)
    ),
    "forgotten": RecordKind("a person had the records of a subject deleted, by `nightdesk forget`", (ForgottenDetail,)),
}


def read(model: type[Model], detail: str) -> Model | None:
    """The detail as `model`; None if it is something else, because anyone with write access to the topic can produce
    any detail.

    Fields that a newer version has added are ignored.
    """
    try:
        return model.model_validate_json(detail, extra="ignore")
    except ValidationError:
        return None


def detail_of(record: AuditRecord) -> BaseModel | None:
    """The detail of a record by its kind; None if its kind has none or it cannot be read."""
    found = (read(model, record.detail) for model in KINDS[record.kind].details)
    return next((detail for detail in found if detail is not None), None)
