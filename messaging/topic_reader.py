"""Reads the current content of topics and of the stages' tables: the one loop that reads to an end.

It counts up to the end that was asked for first. librdkafka reports an end when a fetch comes back empty, which never
happens on a topic that somebody writes to all the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from nightdesk.messaging.broker_answers import broker_answers
from nightdesk.messaging.changelog import Entry, decode
from nightdesk.messaging.clients import QUIET, new_reader
from nightdesk.messaging.consumed import headers_of, is_unreadable, skip_unreadable
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.log_end import end_of
from nightdesk.messaging.log_offsets import Place
from nightdesk.messaging.naming import group_id
from nightdesk.messaging.settings import KafkaSettings

ANSWER_WITHIN_S = 30.0
READER = "nightdesk-reader"


def read_topic(kafka: KafkaSettings, name: str) -> Iterator[Message]:
    """Every record up to the current end, in order within each partition. `name` has the prefix.

    Raises `Failure` if the broker does not answer or the topic does not exist.
    """
    return read_topics(kafka, (name,))


def read_topics(kafka: KafkaSettings, names: Iterable[str]) -> Iterator[Message]:
    """Every record of several topics, like `read_topic`."""
    consumer = new_reader({**kafka.client_config(), **QUIET}, READER)
    try:
        with broker_answers(kafka):
            yield from read_to_end(consumer, _places(consumer, sorted(names)), ANSWER_WITHIN_S)
    finally:
        consumer.close()


def read_table(kafka: KafkaSettings, stage: str, table: str) -> dict[bytes, bytes]:
    """What a stage's table holds, by key, as the stage itself would recover it. Raises `Failure`."""
    return {key: value for (_, key), value in read_table_parts(kafka, stage, table).items()}


def read_table_parts(kafka: KafkaSettings, stage: str, table: str) -> dict[tuple[int, bytes], bytes]:
    """The same by partition and key, for a table that has a key in several partitions. Raises `Failure`."""
    facts: dict[tuple[int, bytes], Entry] = {}
    for message in read_topic(kafka, f"{group_id(kafka.topic_prefix, stage)}-{table}-changelog"):
        place, entry = (message.partition() or 0, message.key() or b""), decode(message.value(), headers_of(message))
        if place not in facts or entry.term >= facts[place].term:
            facts[place] = entry
    return {place: entry.value for place, entry in facts.items() if entry.value is not None}


def read_to_end(consumer: Consumer, places: Iterable[Place], within_s: float) -> Iterator[Message]:
    """Every record of these logs, from where each begins to where it ends now. Raises `KafkaException`."""
    ends = {place: end_of(consumer, TopicPartition(*place), within_s) for place in places}
    return read_range(consumer, dict.fromkeys(ends, 0), ends, within_s)


def read_range(
    consumer: Consumer, starts: Mapping[Place, int], ends: Mapping[Place, int], within_s: float
) -> Iterator[Message]:
    """The records of each log from its start up to, and without, its end; fewer where the log ends before.

    The consumer is one of `clients.new_reader`, and is assigned these logs. What cannot be read is skipped. Raises
    `KafkaException` when the broker gives nothing for `within_s`, or an error.
    """
    unread = {place for place, start in starts.items() if start < ends[place]}
    consumer.assign([TopicPartition(*place, starts[place]) for place in sorted(unread)])
    while unread:
        message = consumer.poll(within_s)
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        error, offset = message.error(), message.offset() or 0
        place = (str(message.topic()), message.partition() or 0)
        if error is not None and is_unreadable(message):
            skip_unreadable(consumer, message)
        elif error is not None and error.code() == KafkaError._PARTITION_EOF:
            unread.discard(place)
        elif error is not None:
            raise KafkaException(error)
        elif offset < ends[place]:
            yield message
        if offset + 1 >= ends.get(place, 0):
            unread.discard(place)


def _places(consumer: Consumer, names: Iterable[str]) -> list[Place]:
    known = consumer.list_topics(timeout=ANSWER_WITHIN_S).topics
    wanted = list(names)
    missing = [name for name in wanted if name not in known]
    if missing:
        raise Failure(f"there is no topic {', '.join(missing)}", "Run `nightdesk topics apply`", FailureKind.NOT_READY)
    return [(name, number) for name in wanted for number in known[name].partitions]
