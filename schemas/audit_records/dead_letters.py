"""The audit records of dead letters: the failure, the records parked behind it, and what a person did about it."""

from datetime import datetime
from typing import Any

from nightdesk.schemas import bounds, ids
from nightdesk.schemas.audit import NotReleasedDetail, ParkedDetail
from nightdesk.schemas.dead_letters import as_text, case_id, is_ours
from nightdesk.schemas.persons import shown_person
from nightdesk.schemas.records import AuditRecord, Case, DeadLetter, DeadLetterEnd, Event, Record


def dead_lettered(letter: DeadLetter, record: Record | None) -> AuditRecord:
    """A record failed. `record` is what it was decoded to, if it was.

    A record in quarantine is decoded once. If the process exits between that and its commit, the next one writes the
    same letter without its case: another record, because records with one id are equal.
    """
    undecoded = ("undecoded",) if letter.kind == "quarantined" and record is None else ()
    return AuditRecord(
        record_id=ids.record_id("dead_letter", letter.dead_letter_id, *undecoded),
        kind="dead_letter",
        time=letter.time,
        status="failed",
        reason=f"{letter.stage}: {letter.error}: {letter.message}",
        detail=letter.model_dump_json(),
        **_named_by(letter, record),
    )


def lost(letter: DeadLetter) -> AuditRecord:
    """The log deleted records before anybody read them."""
    return AuditRecord(
        record_id=ids.record_id("lost", letter.dead_letter_id),
        kind="lost",
        time=letter.time,
        status="failed",
        reason=f"{letter.stage}: {letter.error}: {letter.message}",
        detail=letter.model_dump_json(),
        **_named_by(letter, None),
    )


def ended(letter: DeadLetter, record: Record | None, end: DeadLetterEnd) -> AuditRecord:
    """A person replayed or discarded the letter. What was replayed runs again."""
    return AuditRecord(
        # A letter can be replayed again, and that is another record.
        record_id=ids.record_id(end.verdict, letter.dead_letter_id, end.time.isoformat()),
        kind=end.verdict,
        time=end.time,
        status="running" if end.verdict == "replayed" else "failed",
        reason=f"by {shown_person(end.person, login=end.login)}"
        + (f", filter {end.filter_name}" if end.filter_name else "")
        + (f": {end.reason}" if end.reason else ""),
        detail=end.model_dump_json(),
        **_named_by(letter, record),
    )


def parked(record: Record, behind: str, place: tuple[str, int, int], now: datetime) -> AuditRecord:
    """A record waits until somebody replays or discards the dead letter `behind`. `place`: topic, partition, offset."""
    topic, partition, offset = place
    detail = ParkedDetail(behind=behind, topic=topic, partition=partition, offset=offset)
    return AuditRecord(
        record_id=ids.record_id("parked", topic, str(partition), str(offset)),
        kind="parked",
        time=now,
        status="waiting",
        reason=f"behind dead letter {behind} of the same subject: `nightdesk dlq replay` or `discard` it",
        detail=detail.model_dump_json(),
        **_about(getattr(record, "subject", None), case_id(record), record),
    )


def not_released(
    letter_id: str, what: str, key: bytes | None, place: tuple[str, int, int], now: datetime
) -> AuditRecord:
    """An end or a replay (`what`) of a letter that `nightdesk dlq` did not send. `place`: topic, partition, offset."""
    topic, partition, offset = place
    detail = NotReleasedDetail(dead_letter_id=letter_id, at=f"{topic}:{partition}:{offset}")
    return AuditRecord(
        record_id=ids.record_id("not_released", topic, str(partition), str(offset)),
        kind="ignored",
        time=now,
        subject=as_text(key or b"", bounds.NAME_CHARACTERS_AT_MOST),
        status="ignored",
        reason=f"{what} of dead letter {letter_id} without its release token: what waits behind the letter stays",
        detail=detail.model_dump_json(),
    )


def _named_by(letter: DeadLetter, record: Record | None) -> dict[str, Any]:
    """What the failed record is about. A record that is not ours is told of under its subject alone: with the ids that
    it claims, anyone who can write to a topic could end another case or event in the audit.
    """
    if is_ours(letter):
        return _about(letter.subject, letter.case_id, record)
    return _about(letter.subject, None, None)


def _about(subject: str | None, of_case: str | None, record: Record | None) -> dict[str, Any]:
    event, case = _event(record), getattr(record, "case", record)
    return {
        "subject": subject or "",
        "event_id": event.id if event else "",
        "event_source": event.source if event else "",
        "event_type": event.type if event else "",
        "case_id": of_case,
        "agent": getattr(case, "agent", None),
        "charter_version": getattr(case, "charter_version", None),
        "step": getattr(case, "step", 0),
        "case_at": case.case_at or case.received_at if isinstance(case, Case) else None,
        "decision_id": getattr(record, "decision_id", None),
    }


def _event(record: Record | None) -> Event | None:
    if isinstance(record, Event):
        return record
    found = getattr(getattr(record, "case", record), "event", None)
    return found if isinstance(found, Event) else None
