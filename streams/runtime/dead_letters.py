"""What could not be done, whole: the original bytes on `<topic>.dlq`, why in the headers, and a line in the audit.

Called by the guard. The headers are Kafka Connect's, so that its tools read them, and one of ours that carries the
`DeadLetter` record.
"""

import traceback
from datetime import datetime
from importlib.metadata import version

from schemas import ids
from schemas.dead_letters import headers
from schemas.records import AuditRecord, DeadLetter, Event, Record
from schemas.topics import AUDIT, Topic
from streams.runtime.changes import Changes
from streams.runtime.delivery import TRACEPARENT, RawEvent, header_pairs
from streams.runtime.producer import Headers, Message

# The end of a traceback says where; the head of a hostile one may be megabytes.
TRACEBACK_CHARACTERS = 4000
MESSAGE_CHARACTERS = 2000


def bury(
    changes: Changes, topic: Topic, event: RawEvent, error: Exception, stage: str, now: datetime, record: Record | None
) -> None:
    """Add the dead letter of `event` and its audit record to `changes`. `record` is what was decoded, if it was."""
    message = event.message
    letter = describe(topic, event, error, stage, now, record)
    context: Headers = (
        *((name, value) for name, value in header_pairs(event) if name != TRACEPARENT),
        *changes.headers,
        *headers(letter, changes.codec),
    )
    changes.messages.append(Message(changes.topic_prefix + topic.dlq, message.key, message.value, context))
    changes.messages.append(
        Message(
            changes.topic_prefix + AUDIT.name,
            _audit_key(letter, message.key),
            changes.codec.encode(_audit(letter, record)),
            changes.headers,
        )
    )


def describe(
    topic: Topic, event: RawEvent, error: Exception, stage: str, now: datetime, record: Record | None
) -> DeadLetter:
    """The context of a dead letter."""
    message = event.message
    trace = "".join(traceback.format_exception(error))
    return DeadLetter(
        dead_letter_id=ids.dead_letter_id(topic.name, message.partition, message.offset),
        stage=stage,
        topic=topic.name,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=int((message.timestamp or 0) * 1000),
        error=type(error).__name__,
        message=str(error)[:MESSAGE_CHARACTERS],
        traceback=trace[-TRACEBACK_CHARACTERS:],
        subject=_text(getattr(record, "subject", None) or message.key),
        case_id=_text(_case_id(record)),
        program_version=version("nightdesk"),
        time=now,
    )


def _audit(letter: DeadLetter, record: Record | None) -> AuditRecord:
    event = _event(record)
    case = getattr(record, "case", record)
    return AuditRecord(
        record_id=ids.record_id("dead_letter", letter.dead_letter_id),
        kind="dead_letter",
        time=letter.time,
        subject=letter.subject or "",
        event_id=event.id if event else "",
        event_source=event.source if event else "",
        event_type=event.type if event else "",
        case_id=letter.case_id,
        agent=getattr(case, "agent", None),
        charter_version=getattr(case, "charter_version", None),
        decision_id=getattr(record, "decision_id", None),
        status="failed",
        reason=f"{letter.stage}: {letter.error}: {letter.message}",
        detail=letter.model_dump_json(),
    )


def _event(record: Record | None) -> Event | None:
    if isinstance(record, Event):
        return record
    found = getattr(getattr(record, "case", record), "event", None)
    return found if isinstance(found, Event) else None


def _case_id(record: Record | None) -> str | None:
    return getattr(getattr(record, "case", None) or record, "case_id", None)


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _audit_key(letter: DeadLetter, key: bytes | None) -> bytes | None:
    return letter.subject.encode() if letter.subject else key
