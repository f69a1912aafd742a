"""Finds the audit records that people are told of, and their class of event. Pure.

A record that is about a notification itself is in no class, so that telling somebody never causes another notice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from nightdesk.processors.notifications.cards import ApprovalCard
from nightdesk.processors.notifications.spent_money import why_spent
from nightdesk.schemas.approval_details import ApprovalReplyDetail, ApprovalRequestDetail
from nightdesk.schemas.audit import (
    ActionDetail,
    ControlDetail,
)
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.outage_detail import OutageDetail
from nightdesk.schemas.persons import is_of_the_system, shown_person
from nightdesk.schemas.records import AuditKind, AuditRecord, CaseStatus, DeadLetter, DeadLetterEnd, EventClass
from nightdesk.schemas.topics import NOTIFICATIONS

CLASSES: tuple[EventClass, ...] = get_args(EventClass)
# What they tell is over when the case has another end, or goes on.
OF_A_CASE: tuple[EventClass, ...] = ("failure", "unknown", "budget")
# A person can take care of what these tell. The others pass, or their case is with a person already.
ANSWERED: frozenset[EventClass] = frozenset({"stop", "anomaly", "approval", "dead_letter", "fault"})
# What these tell is told once until it is over: each worker says it.
TOLD_ONCE: frozenset[EventClass] = frozenset({"outage"})
# Where a message has buttons, people are told of the end of what they answer: the buttons stay.
WITH_BUTTONS: frozenset[EventClass] = frozenset({"approval"})
# How an action leaves a case that somebody was told of: nothing of it is left to be done by us.
ENDED: frozenset[CaseStatus] = frozenset({"completed", "escalated", "waiting", "refused", "dry_run"})
TEXT_CHARACTERS_AT_MOST = 500


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell people. `about` names what a later `Closing` closes; empty if nothing closes it.
    `card` is that of a decision that waits.
    """

    event_class: EventClass
    text: str
    about: str = ""
    card: ApprovalCard | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """What `about` names is over: a person took care of it, or it passed. `text` says so in a message of `event_class`,
    to those who were told of it and whose policy `tells_end`; empty if nobody need know.
    """

    about: str
    text: str = ""
    event_class: EventClass | Literal[""] = ""


@dataclass(frozen=True, slots=True)
class CaseClosing:
    """What was told of the case in these classes is over."""

    case_id: str
    event_classes: tuple[EventClass, ...] = OF_A_CASE


Found = Notice | Closing | CaseClosing


def classify(record: AuditRecord) -> tuple[Found, ...]:
    """The notices and closings that follow from the record; none for most records."""
    find = FINDERS.get(record.kind)
    found = None if find is None else find(record)
    return found if isinstance(found, tuple) else () if found is None else (found,)


def about_case(event_class: str, case_id: str) -> str:
    """Names what is told of a case in a class."""
    return f"{event_class} {case_id}"


def _acted(record: AuditRecord) -> Notice | CaseClosing | None:
    detail = read(ActionDetail, record.detail)
    statuses = {outcome.status for outcome in detail.outcomes} if detail is not None else set()
    if "unknown" in statuses:
        return _of_case(record, "unknown", _text(record))
    if "failed" in statuses:
        return _of_case(record, "failure", _text(record))
    if record.case_id is None or "undo_failed" in statuses or record.status not in ENDED:
        return None
    return CaseClosing(record.case_id)


def _of_case(record: AuditRecord, event_class: EventClass, text: str) -> Notice:
    return Notice(event_class, text, about_case(event_class, record.case_id or ""))


def _approval(record: AuditRecord) -> Notice | Closing | None:
    """A request, a reminder, or an answer that counts."""
    about = record.decision_id or ""
    reply = read(ApprovalReplyDetail, record.detail)
    if reply is not None and reply.verdict == "agree":
        return None  # the request that follows says so, too
    if record.status == "needs_approval":
        asked = read(ApprovalRequestDetail, record.detail)
        return Notice("approval", _text(record), about, None if asked is None else ApprovalCard.of(record, asked))
    return Closing(about, _text(record), "approval") if reply is not None and reply.counts else None


def _spent(record: AuditRecord) -> Notice | CaseClosing | None:
    """A step waits, is refused, or goes to the charter's rules or a person, because the day's money is spent; or a step
    that waited goes on. A case that was refused has ended, and nothing ends it again.
    """
    if record.kind == "deferred" and record.status == "running":
        return CaseClosing(record.case_id or "", ("budget",))
    why = why_spent(record)
    if why is None:
        return None
    text = _about(record, why)
    return Notice("budget", text) if record.kind == "refused" else _of_case(record, "budget", text)


def _dead_letter(record: AuditRecord) -> Notice | None:
    letter = read(DeadLetter, record.detail)
    if letter is None or letter.topic == NOTIFICATIONS.name:
        return None
    found: EventClass = "dead_letter" if letter.kind == "failed" else "fault"
    return Notice(found, _text(record), letter.dead_letter_id)


def _resolved(record: AuditRecord) -> tuple[Found, ...]:
    """A person replayed a dead letter, and it runs again; or discarded it, and nothing comes of its case any more."""
    end = read(DeadLetterEnd, record.detail)
    if end is None:
        return ()
    closing = Closing(end.dead_letter_id)
    return (closing, CaseClosing(record.case_id)) if record.kind == "discarded" and record.case_id else (closing,)


def _outage(record: AuditRecord) -> Notice | Closing | None:
    outage = read(OutageDetail, record.detail)
    if outage is None:
        return None
    about = f"outage {outage.stage} {outage.system}"
    return Closing(about, record.reason, "outage") if outage.is_over else Notice("outage", record.reason, about)


def _order(record: AuditRecord) -> Notice | Closing | None:
    detail = read(ControlDetail, record.detail)
    if detail is None:
        return None
    if detail.order == "resume":
        return Closing(f"stop {record.subject}")
    if detail.order == "observed" or (detail.order == "pause" and is_of_the_system(detail.issued_by)):
        return Notice("anomaly", _text(record), f"stop {record.subject}")
    if detail.order == "unreadable":
        return Notice("fault", _text(record))
    if detail.order in ("pause", "stop_all"):
        return Notice(
            "stop", f"{detail.order} by {shown_person(detail.issued_by)}: {_text(record)}", f"stop {record.subject}"
        )
    return None


def _text(record: AuditRecord) -> str:
    return _about(record, record.reason or record.status)


def _about(record: AuditRecord, why: str) -> str:
    about = " ".join(part for part in (record.agent, record.action, record.subject) if part)
    return f"{about}: {why}"[:TEXT_CHARACTERS_AT_MOST]


# How something to tell is found in a record of a kind. People are told of no other kind.
FINDERS: Mapping[AuditKind, Callable[[AuditRecord], Found | tuple[Found, ...] | None]] = {
    "acted": _acted,
    "approval": _approval,
    "deferred": _spent,
    "refused": _spent,
    "decided": _spent,
    "dead_letter": _dead_letter,
    "lost": _dead_letter,
    "replayed": _resolved,
    "discarded": _resolved,
    "control": _order,
    "outage": _outage,
}
