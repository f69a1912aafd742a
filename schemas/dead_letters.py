"""The format of a dead letter on `<topic>.dlq`, and of its resolution.

The headers are those of Kafka Connect, so that its tools can read them, plus one with our record. The guard and the
sink create letters; `nightdesk dlq` reads and replays them and writes their resolutions.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from nightdesk.schemas import bounds, ids
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.program import program_version
from nightdesk.schemas.records import DeadLetter, DeadLetterEnd, Record
from nightdesk.schemas.topics import INGEST

Headers = tuple[tuple[str, bytes | None], ...]

# The end of a traceback has the location; the beginning of a hostile one may be megabytes.
TRACEBACK_CHARACTERS = 4000
MESSAGE_CHARACTERS = 2000

CONTEXT_HEADER = "nightdesk.dead_letter"
# On an empty record of `<topic>.dlq`: the letter is resolved. On a record of the topic itself: the records parked
# behind the letter may continue.
END_HEADER = "nightdesk.dead_letter.end"
# On a replayed record: the id of its letter, and the number of attempts so far.
REPLAY_HEADER = "nightdesk.replay_of"
ATTEMPTS_HEADER = "nightdesk.replay.attempts"
# On a letter that blocks a queue, and on the resolution or the replay that may release the queue: a random token.
# Anyone can compute ids of letters; a client without the token has not read `<topic>.dlq`.
RELEASE_HEADER = "nightdesk.dead_letter.release"
# Errors of a record that proves nothing about the case that it names. No stage of ours wrote a forged record; otherwise
# anyone with write access could have an agent paused by its error rate. Nobody has checked who wrote one in quarantine.
PROVE_NOTHING = ("Forged", "Quarantined", "WrongPartition")
# Those among them that no stage of ours can have written, on a topic to which only we produce.
_NOT_OURS = ("Forged", "WrongPartition")
_CONNECT = "__connect.errors."
_OURS = (CONTEXT_HEADER, END_HEADER, REPLAY_HEADER, ATTEMPTS_HEADER, RELEASE_HEADER)


@dataclass(frozen=True, slots=True)
class Original:
    """The record as it arrived."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Replay:
    """What the headers of a replayed record claim."""

    letter_id: str
    attempts: int
    release_token: bytes = b""


def headers(letter: DeadLetter, codec: Codec, token: bytes = b"") -> Headers:
    """The original place of the record and the reason of the failure. Without a traceback its header is missing.
    `token` releases the queue that the letter blocks.
    """
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
    connect = ((f"{_CONNECT}{name}", str(value).encode(errors="backslashreplace")) for name, value in fields.items())
    return (*connect, (CONTEXT_HEADER, codec.encode(letter)), *_release(token))


def original_headers(letter: DeadLetter, found: Headers) -> Headers:
    """The headers of the original record. A letter of an older version does not count them; they are told apart by
    name.
    """
    if letter.original_headers is not None:
        return found[: letter.original_headers]
    return tuple((name, value) for name, value in found if not name.startswith(_CONNECT) and name not in _OURS)


def release_token(found: Headers) -> bytes:
    """The token on a letter's message, empty if it blocks no queue. The last header counts, because the original record
    may have such a header too.
    """
    return dict(found).get(RELEASE_HEADER) or b""


def replay_headers(letter: DeadLetter, original: Headers, token: bytes = b"") -> Headers:
    """The original headers, plus the letter's id, the attempts and the letter's token."""
    kept = tuple((name, value) for name, value in original if name not in _OURS)
    attempts = str(letter.attempts).encode()
    return (*kept, (REPLAY_HEADER, letter.dead_letter_id.encode()), (ATTEMPTS_HEADER, attempts), *_release(token))


def end_headers(end: DeadLetterEnd, codec: Codec, token: bytes = b"") -> Headers:
    """The headers of an empty record that resolves a letter."""
    return ((END_HEADER, codec.encode(end)), *_release(token))


def _release(token: bytes) -> Headers:
    return ((RELEASE_HEADER, token),) if token else ()


def replay_of(found: Iterable[tuple[str, bytes | None]]) -> Replay | None:
    """What the headers claim about a replay. Any client can write them, so they are trusted no further."""
    values = {name: value for name, value in found if name in (REPLAY_HEADER, ATTEMPTS_HEADER, RELEASE_HEADER)}
    letter_id = values.get(REPLAY_HEADER)
    if not letter_id:
        return None
    attempts = values.get(ATTEMPTS_HEADER) or b""
    return Replay(
        as_text(letter_id, bounds.NAME_CHARACTERS_AT_MOST),
        int(attempts) if attempts.isdigit() and len(attempts) < 6 else 1,
        values.get(RELEASE_HEADER) or b"",
    )


def lost(stage: str, topic: str, partition: int, offsets: tuple[int, int], now: datetime) -> DeadLetter:
    """The letter for records that were deleted before they were read: those from `offsets[0]` up to `offsets[1]`."""
    first, end = offsets
    return DeadLetter(
        dead_letter_id=ids.lost_letter_id(topic, partition, first, end),
        stage=stage,
        topic=topic,
        partition=partition,
        offset=first,
        timestamp_ms=0,
        error="RecordsLost",
        message=f"offsets {first} to {end - 1} were deleted from the topic before {stage} read them (retention, or an"
        " administrator)",
        traceback="",
        program_version=program_version(),
        time=now,
        attempted="read",
        original_headers=0,
        kind="lost",
        truncated=True,
        records=end - first,
    )


def as_text(value: str | bytes, characters_at_most: int) -> str:
    """Foreign text in a form that a record may have: valid Unicode of at most so many characters."""
    text = value[: 4 * characters_at_most].decode(errors="replace") if isinstance(value, bytes) else value
    return text[:characters_at_most].encode(errors="replace").decode()


def is_ours(letter: DeadLetter) -> bool:
    """Whether the record may be ours or a producer's event. What another one names is a claim of a stranger."""
    return letter.topic == INGEST.name or letter.error not in _NOT_OURS


def case_id(record: Record | None) -> str | None:
    """The case that a record belongs to."""
    return getattr(getattr(record, "case", None) or record, "case_id", None)
