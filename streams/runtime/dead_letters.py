"""What could not be done, whole: the original bytes on `<topic>.dlq`, why in the headers, and a line in the audit.

Called by the guard. What the headers are called is in `schemas/dead_letters.py`.
"""

import traceback
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from schemas import dead_letters, ids
from schemas.records import DeadLetter, Record
from schemas.topics import AUDIT, Topic
from streams.runtime.changes import Changes
from streams.runtime.delivery import RawEvent
from streams.runtime.producer import Headers, Message

# The end of a traceback says where; the head of a hostile one may be megabytes.
TRACEBACK_CHARACTERS = 4000
MESSAGE_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong with a record, and where. `record` is what was decoded, if it was."""

    stage: str
    topic: Topic
    attempted: str
    error: Exception
    record: Record | None
    now: datetime
    parks: bool


def bury(changes: Changes, event: RawEvent, failure: Failure) -> DeadLetter:
    """Add the dead letter of `event` and its audit record to `changes`."""
    letter = describe(event, failure)
    changes.messages.append(
        Message(
            changes.topic_prefix + failure.topic.dlq,
            event.key,
            event.value,
            (*event.headers, *_trace(changes, event), *dead_letters.headers(letter, changes.codec)),
        )
    )
    changes.messages.append(
        Message(
            changes.topic_prefix + AUDIT.name,
            letter.subject.encode() if letter.subject else event.key,
            changes.codec.encode(dead_letters.buried(letter, failure.record)),
            changes.headers,
        )
    )
    return letter


def describe(event: RawEvent, failure: Failure) -> DeadLetter:
    """The context of a dead letter. A replay that failed again is the next letter, with one more attempt."""
    error, headers = failure.error, event.headers
    replay = dead_letters.replay_of(headers)
    return DeadLetter(
        dead_letter_id=ids.dead_letter_id(failure.topic.name, event.partition, event.offset)
        if replay is None
        else ids.next_dead_letter_id(replay.letter_id),
        stage=failure.stage,
        topic=failure.topic.name,
        partition=event.partition,
        offset=event.offset,
        timestamp_ms=int(event.timestamp * 1000),
        error=type(error).__name__,
        message=str(error)[:MESSAGE_CHARACTERS],
        traceback="".join(traceback.format_exception(error))[-TRACEBACK_CHARACTERS:],
        attempts=1 + (replay.attempts if replay else 0),
        subject=_text(getattr(failure.record, "subject", None) or event.key),
        case_id=dead_letters.case_id(failure.record),
        program_version=version("nightdesk"),
        time=failure.now,
        attempted=failure.attempted,
        replay_of=replay.letter_id if replay else None,
        original_headers=len(headers),
        parks=failure.parks,
    )


def _trace(changes: Changes, event: RawEvent) -> Headers:
    """The trace that the record belongs to, where its own headers do not say it."""
    return tuple(header for header in changes.headers if header not in event.headers)


def _text(value: str | bytes | None) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
