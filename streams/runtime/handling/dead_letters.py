"""Creates dead letters: the original bytes on `<topic>.dlq`, the reason in the headers, and a line in the audit.

Nothing here may raise, whatever the record contains, because a dead letter that cannot be created stops the stage.
`schemas/dead_letters.py` defines the headers, `schemas/truncation.py` what is cut.
"""

import logging
import traceback
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nightdesk.messaging.producer import Headers, Message
from nightdesk.processors.ledger.entries import closing_by_dead_letter
from nightdesk.schemas import audit_records, dead_letters, ids, oversized
from nightdesk.schemas.bounds import NAME_CHARACTERS_AT_MOST
from nightdesk.schemas.dead_letters import MESSAGE_CHARACTERS, TRACEBACK_CHARACTERS, Original, as_text
from nightdesk.schemas.program import program_version
from nightdesk.schemas.records import Case, DeadLetter, Record
from nightdesk.schemas.topics import AUDIT, BUDGET, INGEST, Topic
from nightdesk.schemas.truncation import fit
from nightdesk.streams.api.staged_writes import Oversized, StagedWrites
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.origins import describe_origin
from nightdesk.streams.runtime.handling.repartitioning import origin_of

log = logging.getLogger(__name__)

# A producer may write any time, and a float of seconds may be rounded to a time beyond Avro's long.
LONGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class RecordFailure:
    """What went wrong with a record, and where. `record` is the decoded record, if it could be decoded. `release_token`
    belongs to the queue that the letter blocks, and is empty if it blocks none. `bytes_at_most`: how much of the record
    the letter may contain.
    """

    stage: str
    topic: Topic
    attempted: str
    error: Exception
    record: Record | None
    now: datetime
    release_token: bytes
    bytes_at_most: int


class Quarantined(Exception):
    """The record ends the process whenever it is processed."""


def send_to_dlq(writes: StagedWrites, event: RawEvent, failure: RecordFailure) -> DeadLetter:
    """Add to `writes` the dead letter of `event`, its audit record, and the ledger entry that the step of its case
    failed.
    """
    original = Original(event.key, event.value, event.headers)
    letter, carried = fit(describe(event, failure), original, failure.bytes_at_most)
    if letter.truncated and not event.unreadable:
        writes.oversized.append(Oversized(letter.dead_letter_id, original))
    writes.messages.append(
        Message(
            writes.topic_prefix + failure.topic.dlq,
            carried.key,
            carried.value,
            (
                *carried.headers,
                *_trace(writes, event),
                *dead_letters.headers(letter, writes.codec, failure.release_token),
            ),
        )
    )
    audited = audit_records.dead_lettered(letter, failure.record)
    writes.messages.append(
        Message(
            writes.topic_prefix + AUDIT.name,
            audited.subject.encode(),
            writes.codec.encode(audited),
            writes.headers,
        )
    )
    writes.audited.append(audited)
    case = _case_of(failure.record)
    # The reservation of a step of which the record proves nothing expires.
    if case is not None and letter.error not in dead_letters.PROVE_NOTHING:
        writes.emit(BUDGET, closing_by_dead_letter(case, failure.now))
    return letter


def _case_of(record: Record | None) -> Case | None:
    case = getattr(record, "case", record)
    return case if isinstance(case, Case) else None


def keep_oversized(folder: Path, *records: Oversized) -> None:
    """Store records that are cut in their letters. If the disk is full, they are still in their own topic."""
    for record in records:
        try:
            oversized.keep(folder, record.letter_id, record.original)
        except OSError as error:
            log.error(
                "the record of dead letter %s cannot be stored completely in %s: %s", record.letter_id, folder, error
            )


def describe(event: RawEvent, failure: RecordFailure) -> DeadLetter:
    """The letter's record. A replay that failed again is the next letter, with one more attempt."""
    error, headers = failure.error, event.headers
    replay = dead_letters.replay_of(headers)
    subject = getattr(failure.record, "subject", None) or event.key
    return DeadLetter(
        dead_letter_id=letter_id(event, failure.topic),
        stage=failure.stage,
        topic=failure.topic.name,
        partition=event.partition,
        offset=event.offset,
        timestamp_ms=_timestamp_ms(event),
        error=type(error).__name__,
        message=as_text(_said(error), MESSAGE_CHARACTERS),
        traceback=as_text(_traceback(error)[-TRACEBACK_CHARACTERS:], TRACEBACK_CHARACTERS),
        attempts=1 + (replay.attempts if replay else 0),
        subject=None if subject is None else as_text(subject, NAME_CHARACTERS_AT_MOST),
        case_id=dead_letters.case_id(failure.record),
        program_version=program_version(),
        time=failure.now,
        attempted=failure.attempted,
        replay_of=replay.letter_id if replay else None,
        original_headers=len(headers),
        parks=bool(failure.release_token),
        kind="quarantined" if isinstance(error, Quarantined) else "failed",
        truncated=bool(event.unreadable),
        records=event.records,
        origin=describe_origin(event, failure.record),
    )


def letter_id(event: RawEvent, topic: Topic) -> str:
    """The id of the record's dead letter."""
    replay = dead_letters.replay_of(event.headers)
    if replay is not None:
        return ids.next_dead_letter_id(replay.letter_id, event.value)
    origin = origin_of(event) if topic is INGEST else ""
    if origin:
        return ids.forwarded_letter_id(topic.name, origin)
    return ids.dead_letter_id(topic.name, event.partition, event.offset, _timestamp_ms(event))


def _timestamp_ms(event: RawEvent) -> int:
    return max(-LONGEST, min(int(event.timestamp * 1000), LONGEST))


def _said(error: Exception) -> str:
    """The text of an error. Converting a library's error to text may itself raise."""
    try:
        return str(error)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return f"{type(error).__name__} (its text cannot be shown)"


def _traceback(error: Exception) -> str:
    try:
        return "".join(traceback.format_exception(error))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return "".join(traceback.format_tb(error.__traceback__))


def _trace(writes: StagedWrites, event: RawEvent) -> Headers:
    """The trace of the record, if its own headers do not have it."""
    return tuple(header for header in writes.headers if header not in event.headers)
