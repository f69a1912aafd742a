"""What lies on the topics `<topic>.dlq`: letters and their ends, without the original bytes, and those when asked for.

Called by `nightdesk dlq` and `status`. Every question reads the topics from their beginning to where they end now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from nightdesk.dead_letters.waiting import waiting_behind
from nightdesk.exits import ExitCode, Failure
from nightdesk.settings import KafkaSettings
from schemas.codec import Codec, Undecodable
from schemas.dead_letters import CONTEXT_HEADER, END_HEADER, Headers, original_headers
from schemas.records import DeadLetter, DeadLetterEnd
from schemas.topics import BY_NAME, TOPICS

ANSWER_WITHIN_S = 30.0

State = Literal["open", "replayed", "discarded"]
# Where a letter lies: `<topic>.dlq`, its partition, its offset.
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter and what became of it. `size_bytes` is that of the original record's value, `waiting` how many
    later records of the subject wait behind it.
    """

    about: DeadLetter
    place: Place
    size_bytes: int
    end: DeadLetterEnd | None = None
    waiting: int = 0

    @property
    def state(self) -> State:
        return "open" if self.end is None else self.end.verdict


@dataclass(frozen=True, slots=True)
class Original:
    """The record as it came."""

    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True, slots=True)
class Found:
    """All letters, the oldest first. `strangers` counts records of the topics that no stage of ours wrote."""

    letters: tuple[Letter, ...]
    strangers: int


def read_letters(kafka: KafkaSettings, codec: Codec, topic: str = "") -> Found:
    """Every letter of one topic, or of all. Raises `Failure` when they cannot be read."""
    found = _gathered(kafka, codec, topic)
    if not any(letter.about.parks and letter.end is None for letter in found.letters):
        return found
    behind = waiting_behind(kafka)
    letters = (replace(letter, waiting=behind.get(letter.about.dead_letter_id, 0)) for letter in found.letters)
    return replace(found, letters=tuple(letters))


def open_letters(kafka: KafkaSettings, codec: Codec) -> Counter[str]:
    """Stage -> letters of its that nobody replayed or discarded. Raises `Failure` when they cannot be read."""
    return Counter(letter.about.stage for letter in _gathered(kafka, codec, "").letters if letter.end is None)


def _gathered(kafka: KafkaSettings, codec: Codec, topic: str) -> Found:
    """The letters of one topic, or of all, with their ends. What waits behind them is not asked."""
    letters: dict[str, Letter] = {}
    ends: dict[str, DeadLetterEnd] = {}
    strangers = 0
    for message in _scan(kafka, _names(topic)):
        headers = _headers(message)
        about, end = _carried(headers, codec)
        if end is not None:
            ends[end.dead_letter_id] = end
        elif about is None:
            strangers += 1
        else:
            # A stage that died may have buried it twice; the first counts.
            letters.setdefault(about.dead_letter_id, Letter(about, _place(message), len(message.value() or b"")))
    found = [
        Letter(letter.about, letter.place, letter.size_bytes, ends.get(letter_id))
        for letter_id, letter in letters.items()
    ]
    found.sort(key=lambda letter: (letter.about.time, letter.place))
    return Found(tuple(found), strangers)


def read_originals(kafka: KafkaSettings, letters: Iterable[Letter]) -> Iterator[tuple[Letter, Original]]:
    """The letters once more with the records themselves, in the order of each partition, one at a time."""
    wanted = {letter.place: letter for letter in letters}
    for message in _scan(kafka, {letter.about.topic for letter in wanted.values()}):
        letter = wanted.get(_place(message))
        if letter is not None:
            yield letter, _original(letter, message)


def _original(letter: Letter, message: Message) -> Original:
    key = message.key()
    assert not isinstance(key, str), "a consumer without a deserializer gives bytes"
    return Original(key, message.value(), original_headers(letter.about, _headers(message)))


def _names(topic: str) -> set[str]:
    if not topic:
        return {each.name for each in TOPICS if each.dead_letters}
    if topic not in BY_NAME or not BY_NAME[topic].dead_letters:
        known = ", ".join(each.name for each in TOPICS if each.dead_letters)
        raise Failure(f"no topic {topic!r} has dead letters", f"The topics are {known}", ExitCode.USAGE)
    return {topic}


def _scan(kafka: KafkaSettings, names: set[str]) -> Iterator[Message]:
    """Every record of `<name>.dlq` that is there now."""
    consumer = Consumer(
        kafka.client_config()
        | {"group.id": "nightdesk-dlq", "enable.auto.commit": False, "enable.partition.eof": True, "log_level": 0}
        | {"auto.offset.reset": "earliest", "fetch.wait.max.ms": 100, "queued.max.messages.kbytes": 65_536}
    )
    try:
        unread = _partitions(consumer, [f"{kafka.topic_prefix}{name}.dlq" for name in sorted(names)])
        consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in unread])
        while unread:
            message = consumer.poll(ANSWER_WITHIN_S)
            if message is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                unread.discard((str(message.topic()), message.partition() or 0))
            else:
                raise KafkaException(error)
    except KafkaException as error:
        raise Failure(
            f"the dead letters on {kafka.bootstrap_servers} cannot be read: {error.args[0].str()}",
            "Start Kafka, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS",
            ExitCode.UNREACHABLE,
        ) from error
    finally:
        consumer.close()


def _partitions(consumer: Consumer, topics: list[str]) -> set[tuple[str, int]]:
    known = consumer.list_topics(timeout=ANSWER_WITHIN_S).topics
    missing = [topic for topic in topics if topic not in known]
    if missing:
        raise Failure(f"topics are missing: {', '.join(missing)}", "Run `nightdesk topics apply`", ExitCode.NOT_READY)
    return {(topic, partition) for topic in topics for partition in known[topic].partitions}


def _carried(headers: Headers, codec: Codec) -> tuple[DeadLetter | None, DeadLetterEnd | None]:
    """What the record is. The last header of a name counts: those before it came with the original."""
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


def _headers(message: Message) -> Headers:
    return cast(Headers, tuple(message.headers() or ()))  # a consumed message's are pairs of text and bytes
