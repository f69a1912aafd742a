"""Reads the topics `<topic>.dlq`: letters and their resolutions, with the original bytes only on request.

Each call reads the topics from their beginning to their present end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from confluent_kafka import Message

from nightdesk.messaging.consumed import headers_of
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.topic_reader import read_topics
from nightdesk.operations.dead_letters.contents import Contents, Finder
from nightdesk.operations.dead_letters.waiting import waiting_behind
from nightdesk.schemas.codec import Codec, Undecodable
from nightdesk.schemas.dead_letters import (
    CONTEXT_HEADER,
    END_HEADER,
    Headers,
    Original,
    original_headers,
    release_token,
)
from nightdesk.schemas.records import DeadLetter, DeadLetterEnd
from nightdesk.schemas.topics import BY_NAME, TOPICS

State = Literal["open", "replayed", "discarded"]
# The place of a letter: `<topic>.dlq`, its partition, its offset.
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter and its state. `size_bytes` is that of the original record's value, `waiting` the number of later
    records of the subject parked behind it, `release_token` the token that releases them.
    """

    about: DeadLetter
    place: Place
    size_bytes: int
    end: DeadLetterEnd | None = None
    waiting: int = 0
    release_token: bytes = b""

    @property
    def state(self) -> State:
        return "open" if self.end is None else self.end.verdict


@dataclass(frozen=True, slots=True)
class Found:
    """All letters, the oldest first. `strangers` counts records on the topics that no stage of ours wrote."""

    letters: tuple[Letter, ...]
    strangers: int


def read_letters(kafka: KafkaSettings, codec: Codec, topic: str = "") -> Found:
    """Every letter of one topic, or of all. Raises `Failure` if they cannot be read."""
    found = _gathered(kafka, codec, topic)
    if not any(letter.about.parks and letter.end is None for letter in found.letters):
        return found
    behind = waiting_behind(kafka)
    letters = (replace(letter, waiting=behind.get(letter.about.dead_letter_id, 0)) for letter in found.letters)
    return replace(found, letters=tuple(letters))


def open_letters(kafka: KafkaSettings, codec: Codec) -> tuple[Letter, ...]:
    """The open letters. Raises `Failure` if they cannot be read."""
    return tuple(letter for letter in _gathered(kafka, codec, "").letters if letter.end is None)


def _gathered(kafka: KafkaSettings, codec: Codec, topic: str) -> Found:
    """The letters of one topic, or of all, with their resolutions, without counting parked records."""
    letters: dict[str, Letter] = {}
    ends: dict[str, DeadLetterEnd] = {}
    strangers = 0
    for message in _scan(kafka, _names(topic)):
        headers = headers_of(message)
        about, end = _carried(headers, codec)
        if end is not None:
            ends[end.dead_letter_id] = end
        elif about is None:
            strangers += 1
        else:
            # A stage that died may have written the same letter twice; the first one counts.
            size = len(message.value() or b"") if about.size_bytes is None else about.size_bytes
            token = release_token(headers) if about.parks else b""
            letters.setdefault(about.dead_letter_id, Letter(about, _place(message), size, release_token=token))
    found = [replace(letter, end=ends.get(letter_id)) for letter_id, letter in letters.items()]
    found.sort(key=lambda letter: (letter.about.time, letter.place))
    return Found(tuple(found), strangers)


def read_contents(finder: Finder, letters: Iterable[Letter]) -> Iterator[tuple[Letter, Contents]]:
    """The letters again with their records, in the order of each partition, one at a time."""
    wanted = {letter.place: letter for letter in letters}
    for message in _scan(finder.kafka, {letter.about.topic for letter in wanted.values()}):
        letter = wanted.get(_place(message))
        if letter is not None:
            yield letter, finder.contents(letter.about, _carried_original(letter, message))


def _carried_original(letter: Letter, message: Message) -> Original:
    key = message.key()
    assert not isinstance(key, str), "a consumer without a deserializer gives bytes"
    return Original(key, message.value(), original_headers(letter.about, headers_of(message)))


def _names(topic: str) -> set[str]:
    if not topic:
        return {each.name for each in TOPICS if each.dead_letters}
    if topic not in BY_NAME or not BY_NAME[topic].dead_letters:
        known = ", ".join(each.name for each in TOPICS if each.dead_letters)
        raise Failure(f"no topic {topic!r} has dead letters", f"The topics are {known}", FailureKind.INVALID)
    return {topic}


def _scan(kafka: KafkaSettings, names: set[str]) -> Iterator[Message]:
    """Every record that `<name>.dlq` has now. A record that cannot be read is skipped, because our letters
    can be read.
    """
    return read_topics(kafka, (f"{kafka.topic_prefix}{name}.dlq" for name in names))


def _carried(headers: Headers, codec: Codec) -> tuple[DeadLetter | None, DeadLetterEnd | None]:
    """The original record. The last header of a name counts: earlier ones came with the original."""
    ours = dict(headers)
    try:
        if CONTEXT_HEADER in ours:
            return codec.decode(DeadLetter, ours[CONTEXT_HEADER]), None
        if END_HEADER in ours:
            return None, codec.decode(DeadLetterEnd, ours[END_HEADER])
    except Undecodable:
        pass
    return None, None


def _place(message: Message) -> Place:
    return str(message.topic()), message.partition() or 0, message.offset() or 0
