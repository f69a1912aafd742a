"""Reads the offsets that the sink's consumer group has committed on the audit topic, and sets them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, TopicCollection, TopicPartition

from nightdesk.messaging.broker_answers import broker_answers
from nightdesk.messaging.clients import QUIET, new_admin, new_reader
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.log_identity import Log
from nightdesk.messaging.naming import group_id
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.operations.stage_status import stage_status
from nightdesk.schemas.topics import AUDIT
from nightdesk.sinks.audit.committed import chain_value, is_of_log, metadata_of, read_committed
from nightdesk.sinks.clickhouse.backup_places import SinkPlace

ANSWER_WITHIN_S = 30.0
SINK = "sink"
# A static member stays in its group until its session is over, however the process was stopped.
STOPPED_WITHIN_S = 60.0
LOOK_S = 1.0
STOP_IT = "Stop every process of `nightdesk sink`; a stopped one counts as running until its session is over (30 s)"


def audit_topic(kafka: KafkaSettings) -> str:
    """The name of the audit topic, with the installation's prefix."""
    return kafka.topic_prefix + AUDIT.name


def sink_reader(kafka: KafkaSettings) -> Consumer:
    """A consumer with the group id of the sink, which does not join the group."""
    return new_reader({**kafka.client_config(), **QUIET}, group_id(kafka.topic_prefix, SINK))


def first_offsets(consumer: Consumer, topic: str) -> list[tuple[int, int]]:
    """Each partition of the topic, with the offset at which its log begins. Raises `Failure` and `KafkaException`."""
    known = consumer.list_topics(timeout=ANSWER_WITHIN_S).topics
    if topic not in known:
        raise Failure(f"there is no topic {topic}", "Run `nightdesk topics apply`", FailureKind.NOT_READY)
    places = [TopicPartition(topic, number) for number in sorted(known[topic].partitions)]
    return [
        (one.partition, consumer.get_watermark_offsets(one, timeout=ANSWER_WITHIN_S, cached=False)[0]) for one in places
    ]


def sink_places(consumer: Consumer, log: Log, firsts: Sequence[tuple[int, int]]) -> list[SinkPlace]:
    """The offset that the sink has committed in each partition of this log; without a commit, the offset at which the
    log begins. Raises `KafkaException`.
    """
    starts = dict(firsts)
    committed = read_committed(consumer, [TopicPartition(log.topic, number) for number in starts], ANSWER_WITHIN_S)
    return [
        SinkPlace(one.partition, max(one.offset, starts[one.partition]), chain_value(one))
        if is_of_log(one, log.topic_id)
        else SinkPlace(one.partition, starts[one.partition], "")
        for one in committed
    ]


def audit_log(kafka: KafkaSettings) -> Log:
    """The audit topic as it is now. Raises `Failure`."""
    topic = audit_topic(kafka)
    return Log(topic, topic_id(kafka, topic))


def topic_id(kafka: KafkaSettings, topic: str) -> str:
    """The broker's id of the topic. Raises `Failure`."""
    admin = new_admin({**kafka.client_config(), **QUIET})
    with broker_answers(kafka):
        asked = admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_WITHIN_S)
        return str(asked[topic].result().topic_id)


def wait_until_stopped(kafka: KafkaSettings) -> None:
    """Wait until no process of the sink is in its group. Raises `Failure` if one still is after a minute."""
    until = time.monotonic() + STOPPED_WITHIN_S
    while stage_status(kafka)[SINK].state != "stopped":
        if time.monotonic() >= until:
            raise Failure("the sink is running, or another consumer is in its group", STOP_IT, FailureKind.NOT_READY)
        time.sleep(LOOK_S)


def go_on_at(kafka: KafkaSettings, topic: str, places: Sequence[SinkPlace]) -> None:
    """Commit these offsets for the sink, with the values of its chains. Raises `Failure`, also if it runs."""
    of_log = topic_id(kafka, topic)
    offsets = [TopicPartition(topic, one.partition, one.offset, metadata_of(one.chain, of_log)) for one in places]
    consumer = sink_reader(kafka)
    try:
        for one in consumer.commit(offsets=offsets, asynchronous=False):
            if one.error is not None:
                raise KafkaException(one.error)
    except KafkaException as error:
        reason = f"the offsets of the sink cannot be set: {error.args[0].str()}"
        raise Failure(reason, STOP_IT, FailureKind.NOT_READY) from error
    finally:
        consumer.close()
