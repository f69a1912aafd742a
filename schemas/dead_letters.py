"""What a dead letter looks like on `<topic>.dlq`, from being buried to its end.

The headers are Kafka Connect's, so that its tools read them, and one that carries our record. Called by whoever buries
(the guard of the stages, the sink) and by `nightdesk dlq`, which reads letters, replays them and writes their ends.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas import ids
from schemas.codec import Codec
from schemas.records import AuditRecord, DeadLetter, DeadLetterEnd, Event, Record

Headers = tuple[tuple[str, bytes], ...]

CONTEXT_HEADER = "nightdesk.dead_letter"
# On an empty record of `<topic>.dlq`: the letter needs no more attention. On one of the topic itself: what waits behind
# the letter need not wait for it any more.
END_HEADER = "nightdesk.dead_letter.end"
# On a record that was sent again: the letter that it was, and how many times it has been tried.
REPLAY_HEADER = "nightdesk.replay_of"
ATTEMPTS_HEADER = "nightdesk.replay.attempts"
_CONNECT = "__connect.errors."
_OURS = (CONTEXT_HEADER, END_HEADER, REPLAY_HEADER, ATTEMPTS_HEADER)


@dataclass(frozen=True, slots=True)
class Replay:
    """What a record says of itself that was sent again."""

    letter_id: str
    attempts: int


def headers(letter: DeadLetter, codec: Codec) -> Headers:
    """Where the record lay and why it could not be done. Without a traceback there is no header for one."""
    fields = {
        "topic": letter.topic,
        "partition": letter.partition,
        "offset": letter.offset,
        "stage": letter.stage,
        "class.name": letter.error,
        "exception.class.name": letter.error,
        "exception.message": letter.message,
    }
    if letter.traceback:
        fields["exception.stacktrace"] = letter.traceback
    connect = ((f"{_CONNECT}{name}", str(value).encode()) for name, value in fields.items())
    return (*connect, (CONTEXT_HEADER, codec.encode(letter)))


def original_headers(letter: DeadLetter, found: Headers) -> Headers:
    """The headers that the record came with. A letter of an older version does not count them: by their names."""
    if letter.original_headers is not None:
        return found[: letter.original_headers]
    return tuple((name, value) for name, value in found if not name.startswith(_CONNECT) and name not in _OURS)


def replay_headers(letter: DeadLetter, original: Headers) -> Headers:
    """The original headers, and that this is a replay and of which letter."""
    kept = tuple((name, value) for name, value in original if name not in _OURS)
    return (*kept, (REPLAY_HEADER, letter.dead_letter_id.encode()), (ATTEMPTS_HEADER, str(letter.attempts).encode()))


def replay_of(found: Iterable[tuple[str, bytes]]) -> Replay | None:
    """What the headers say of a replay. Whoever may produce can write anything there: it is never trusted further."""
    values = {name: value for name, value in found if name in (REPLAY_HEADER, ATTEMPTS_HEADER)}
    letter_id = values.get(REPLAY_HEADER)
    if not letter_id:
        return None
    attempts = values.get(ATTEMPTS_HEADER) or b""
    return Replay(letter_id.decode(errors="replace"), int(attempts) if attempts.isdigit() and len(attempts) < 6 else 1)


def buried(letter: DeadLetter, record: Record | None) -> AuditRecord:
    """The audit's line about a letter. `record` is what was decoded, if it was."""
    return AuditRecord(
        record_id=ids.record_id("dead_letter", letter.dead_letter_id),
        kind="dead_letter",
        time=letter.time,
        status="failed",
        reason=f"{letter.stage}: {letter.error}: {letter.message}",
        detail=letter.model_dump_json(),
        **_about(letter.subject, letter.case_id, record),
    )


def ended(letter: DeadLetter, record: Record | None, end: DeadLetterEnd) -> AuditRecord:
    """The audit's line about what a person made of it. What was replayed runs again."""
    return AuditRecord(
        # A letter can be replayed again, and that is another line.
        record_id=ids.record_id(end.verdict, letter.dead_letter_id, end.time.isoformat()),
        kind=end.verdict,
        time=end.time,
        status="running" if end.verdict == "replayed" else "failed",
        reason=f"by {end.person}" + (f": {end.reason}" if end.reason else ""),
        detail=end.model_dump_json(),
        **_about(letter.subject, letter.case_id, record),
    )


def parked(record: Record, behind: str, place: tuple[str, int, int], now: datetime) -> AuditRecord:
    """The audit's line about a record that waits until somebody has decided on a letter."""
    topic, partition, offset = place
    return AuditRecord(
        record_id=ids.record_id("parked", topic, str(partition), str(offset)),
        kind="parked",
        time=now,
        status="waiting",
        reason=f"behind dead letter {behind} of the same subject: `nightdesk dlq replay` or `discard` it",
        detail=json.dumps({"behind": behind, "topic": topic, "partition": partition, "offset": offset}),
        **_about(getattr(record, "subject", None), case_id(record), record),
    )


def case_id(record: Record | None) -> str | None:
    """The case that a record is about."""
    return getattr(getattr(record, "case", None) or record, "case_id", None)


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
        "decision_id": getattr(record, "decision_id", None),
    }


def _event(record: Record | None) -> Event | None:
    if isinstance(record, Event):
        return record
    found = getattr(getattr(record, "case", record), "event", None)
    return found if isinstance(found, Event) else None
