"""Reading what a topic or a stage's table holds now, from its beginning. Called by commands that check or list."""

from __future__ import annotations

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from nightdesk.exits import ExitCode, Failure
from nightdesk.settings import KafkaSettings
from streams.runtime.naming import group_id

ANSWER_WITHIN_S = 30.0


def read_topic(kafka: KafkaSettings, name: str) -> Iterator[Message]:
    """Every record up to the present end, those of a partition in their order. `name` has the prefix.

    Raises `Failure` when the broker does not answer or there is no such topic.
    """
    consumer = Consumer(
        {
            **kafka.client_config(),
            "group.id": "nightdesk-reader",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
        }
    )
    try:
        unread = set(_partitions(consumer, name))
        consumer.assign([TopicPartition(name, number, 0) for number in unread])
        while unread:
            message = consumer.poll(ANSWER_WITHIN_S)
            error = None if message is None else message.error()
            if message is None or (error is not None and error.code() != KafkaError._PARTITION_EOF):
                raise _away(kafka, "no answer" if error is None else error.str())
            if error is not None:
                unread.discard(message.partition() or 0)
            else:
                yield message
    except KafkaException as error:
        raise _away(kafka, error.args[0].str()) from error
    finally:
        consumer.close()


def read_table(kafka: KafkaSettings, stage: str, table: str) -> dict[bytes, bytes]:
    """What a stage's table holds, by key, as the stage itself would recover it."""
    from streams.runtime.tables import ENVELOPE  # Faust takes a second to import, and few commands need it

    facts: dict[tuple[int, bytes], tuple[int, bytes]] = {}
    for message in read_topic(kafka, f"{group_id(kafka.topic_prefix, stage)}-{table}-changelog"):
        place, value = (message.partition() or 0, message.key() or b""), message.value()
        if value is None:
            facts.pop(place, None)
            continue
        term, _ = ENVELOPE.unpack_from(value)
        if term >= facts.get(place, (0, b""))[0]:
            facts[place] = (term, value[ENVELOPE.size :])
    return {key: value for (_, key), (_, value) in facts.items()}


def _partitions(consumer: Consumer, name: str) -> list[int]:
    topic = consumer.list_topics(name, timeout=ANSWER_WITHIN_S).topics[name]
    if topic.error is not None:
        raise Failure(f"there is no topic {name}", "Run `nightdesk topics apply`", ExitCode.NOT_READY)
    return list(topic.partitions)


def _away(kafka: KafkaSettings, reason: str) -> Failure:
    return Failure(
        f"Kafka at {kafka.bootstrap_servers} does not answer: {reason}",
        "Start it, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS",
        ExitCode.UNREACHABLE,
    )
