"""Finds the audit records that people are told of, and their class of event. Pure.

A record that is about a notification itself is in no class, so that telling somebody never causes another notice.
"""

import re
from dataclasses import dataclass
from typing import get_args

from nightdesk.schemas.approval_details import ApprovalReplyDetail
from nightdesk.schemas.audit import ActionDetail, ControlDetail, DecisionDetail, WaitDetail
from nightdesk.schemas.audit_kinds import read
from nightdesk.schemas.persons import is_of_the_system, shown_person
from nightdesk.schemas.records import NO_PROVIDER, AuditRecord, DeadLetter, DeadLetterEnd, EventClass
from nightdesk.schemas.topics import NOTIFICATIONS

CLASSES: tuple[EventClass, ...] = get_args(EventClass)
TEXT_CHARACTERS_AT_MOST = 500
# As `processors/ledger/reserving.py` writes it.
SPENT = re.compile(r"\d+ micro-dollars are needed and \d+ of the day's")


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell people. `about` names what a later `Closing` closes; empty if nothing closes it."""

    event_class: EventClass
    text: str
    about: str = ""


@dataclass(frozen=True, slots=True)
class Closing:
    """A person took care of what `about` names, so nobody else has to be told."""

    about: str


def classify(record: AuditRecord) -> Notice | Closing | None:
    """The notice or the closing that follows from the record; None for most records."""
    match record.kind:
        case "acted":
            return _acted(record)
        case "approval":
            return _approval(record)
        case "deferred" | "refused":
            return Notice("budget", _text(record)) if _is_of_the_spent_budget(record) else None
        case "decided":
            return _decided(record)
        case "dead_letter" | "lost":
            return _dead_letter(record)
        case "replayed" | "discarded":
            end = read(DeadLetterEnd, record.detail)
            return Closing(end.dead_letter_id) if end is not None else None
        case "control":
            return _order(record)
        case _:
            return None


def _acted(record: AuditRecord) -> Notice | None:
    detail = read(ActionDetail, record.detail)
    statuses = {outcome.status for outcome in detail.outcomes} if detail is not None else set()
    if "unknown" in statuses:
        return Notice("unknown", _text(record))
    return Notice("failure", _text(record)) if "failed" in statuses else None


def _approval(record: AuditRecord) -> Notice | Closing | None:
    """A request, a reminder, or an answer that counts."""
    about = record.decision_id or ""
    reply = read(ApprovalReplyDetail, record.detail)
    if reply is not None and reply.verdict == "agree":
        return None  # the request that follows says so, too
    if record.status == "needs_approval":
        return Notice("approval", _text(record), about)
    return Closing(about) if reply is not None and reply.counts else None


def _is_of_the_spent_budget(record: AuditRecord) -> bool:
    """Whether the budget is spent. The record of a waiting case names its gate. That of a refused case only has a
    reason, which `processors/ledger/reserving.py` writes.
    """
    if record.status == "running":
        return False  # it goes on
    wait = read(WaitDetail, record.detail)
    cause = getattr(wait, "cause", "")
    return cause == "spent" if cause else SPENT.match(record.reason) is not None


def _decided(record: AuditRecord) -> Notice | None:
    """A decision without a model because the budget is spent: by the charter's rules, or a person gets the case."""
    if record.provider not in ("rules", NO_PROVIDER):
        return None
    detail = read(DecisionDetail, record.detail)
    if detail is None:
        return None
    reasons = [skipped.detail for skipped in detail.fallbacks if skipped.reason == "budget"]
    if record.provider == NO_PROVIDER:
        reasons.append(detail.reasoning)
    why = next((reason for reason in reasons if SPENT.match(reason)), "")
    return Notice("budget", _about(record, why)) if why else None


def _dead_letter(record: AuditRecord) -> Notice | None:
    letter = read(DeadLetter, record.detail)
    if letter is None or letter.topic == NOTIFICATIONS.name:
        return None
    found: EventClass = "dead_letter" if letter.kind == "failed" else "fault"
    return Notice(found, _text(record), letter.dead_letter_id)


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
