"""Asks the broker for the progress of each stage, and for transactions that block it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from confluent_kafka import ConsumerGroupState, TopicPartition
from confluent_kafka.admin import AdminClient

from nightdesk.messaging.broker_answers import broker_answers
from nightdesk.messaging.clients import QUIET, ClientConfig, new_admin, new_reader
from nightdesk.messaging.log_offsets import Bounds, Place, ask_bounds
from nightdesk.messaging.naming import group_id
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.transactions import OpenTransaction, open_transaction
from nightdesk.messaging.transient_errors import ask_until_answered
from nightdesk.schemas.topics import AUDIT, CONTROL
from nightdesk.streams.catalog import STAGES

Answer = TypeVar("Answer")

ANSWER_WITHIN_S = 10.0

# The topics that each stage reads; the sink counts as a stage here.
TOPICS_OF_STAGE: dict[str, tuple[str, ...]] = {
    **{stage.name: tuple(topic.name for topic in stage.topics) for stage in STAGES},
    "sink": (AUDIT.name,),
}

STATE_OF_GROUP: dict[ConsumerGroupState, str] = {
    ConsumerGroupState.STABLE: "running",
    ConsumerGroupState.PREPARING_REBALANCING: "rebalancing",
    ConsumerGroupState.COMPLETING_REBALANCING: "rebalancing",
    ConsumerGroupState.EMPTY: "stopped",
    ConsumerGroupState.DEAD: "stopped",
    ConsumerGroupState.UNKNOWN: "stopped",
}


@dataclass(frozen=True, slots=True)
class StageStatus:
    """`state` is running, rebalancing or stopped; `lag` counts offsets that are not committed.

    `in_flight`, the part of the lag that a worker is processing, is 0 without lag; otherwise only the worker's metrics
    have it.
    """

    state: str
    lag: int
    in_flight: int | None


def stage_status(kafka: KafkaSettings) -> dict[str, StageStatus]:
    """Stage -> status, as the broker knows it. Raises `Failure` if it does not answer."""
    return _answer_of(kafka, lambda: _ask(kafka))


def topic_bounds(kafka: KafkaSettings, topic: str) -> dict[Place, Bounds]:
    """The beginning and the end of each partition's log. Raises `Failure`."""
    return _answer_of(kafka, lambda: _bounds(new_admin(_config(kafka)), {kafka.topic_prefix + topic}))


def behind(kafka: KafkaSettings, stage: str, bounds: Mapping[Place, Bounds]) -> int:
    """The number of offsets in these logs that the stage has not committed. Raises `Failure`."""
    return _answer_of(kafka, lambda: _lag(kafka, stage, bounds))


def committed(kafka: KafkaSettings, stage: str, places: Iterable[Place]) -> dict[Place, int]:
    """The committed offset of the stage's group for each partition that has one. Raises `Failure`."""
    wanted = list(places)
    return _answer_of(kafka, lambda: _committed(kafka, stage, wanted))


def _answer_of(kafka: KafkaSettings, ask: Callable[[], Answer]) -> Answer:
    """The broker's answer. Raises `Failure` if it gives none in time."""
    with broker_answers(kafka):
        return ask_until_answered(ask, ANSWER_WITHIN_S)


def _ask(kafka: KafkaSettings) -> dict[str, StageStatus]:
    admin = new_admin(_config(kafka))
    bounds = _bounds(admin, _topics(kafka, TOPICS_OF_STAGE))
    states = _states(admin, kafka.topic_prefix)
    lags = {stage: _lag(kafka, stage, bounds) for stage in TOPICS_OF_STAGE}
    return {
        stage: StageStatus(state=states[stage], lag=lag, in_flight=None if lag else 0) for stage, lag in lags.items()
    }


def long_transactions(kafka: KafkaSettings) -> list[OpenTransaction]:
    """Transactions of other producers that have blocked a stage, or the orders to all stages, for long. Raises
    `Failure`.
    """
    now, read_by_stages = datetime.now(UTC), {topic for topics in TOPICS_OF_STAGE.values() for topic in topics}
    found = open_transactions(kafka, read_by_stages | {CONTROL.name})
    return [transaction for transaction in found if transaction.is_long(now)]


def open_transactions(kafka: KafkaSettings, topics: Iterable[str]) -> list[OpenTransaction]:
    """Transactions of other producers that hold back records of these topics (without prefix). Raises `Failure`."""
    names = {kafka.topic_prefix + topic for topic in topics}
    return _answer_of(kafka, lambda: list(_open_transactions(_config(kafka), names)))


def _open_transactions(config: ClientConfig, topics: Set[str]) -> Iterator[OpenTransaction]:
    for place, bounds in _bounds(new_admin(config), topics).items():
        transaction = open_transaction(config, place, bounds)
        if transaction is not None:
            yield transaction


def _states(admin: AdminClient, topic_prefix: str) -> dict[str, str]:
    names = {group_id(topic_prefix, stage): stage for stage in TOPICS_OF_STAGE}
    asked = admin.describe_consumer_groups(list(names), request_timeout=ANSWER_WITHIN_S)
    return {names[group]: STATE_OF_GROUP[future.result().state] for group, future in asked.items()}


def _config(kafka: KafkaSettings) -> ClientConfig:
    return {**kafka.client_config(), **QUIET}


def _topics(kafka: KafkaSettings, stages: Iterable[str]) -> set[str]:
    return {kafka.topic_prefix + topic for stage in stages for topic in TOPICS_OF_STAGE[stage]}


def _bounds(admin: AdminClient, topics: Set[str]) -> dict[Place, Bounds]:
    """The beginning and the end of each partition's log of these topics."""
    known = admin.list_topics(timeout=ANSWER_WITHIN_S).topics
    return ask_bounds(admin, [(topic, number) for topic in topics & known.keys() for number in known[topic].partitions])


def _committed(kafka: KafkaSettings, stage: str, places: Iterable[Place]) -> dict[Place, int]:
    """The committed offsets. It asks with a consumer, because librdkafka 2.16 crashes if its admin client asks a
    coordinator that is not ready yet.
    """
    consumer = new_reader(_config(kafka), group_id(kafka.topic_prefix, stage))
    try:
        found = consumer.committed([TopicPartition(*place) for place in places], ANSWER_WITHIN_S)
    finally:
        consumer.close()
    return {(place.topic, place.partition): place.offset for place in found if place.offset >= 0}


def _lag(kafka: KafkaSettings, stage: str, bounds: Mapping[Place, Bounds]) -> int:
    """Offsets that can be read and are not committed. Records behind an open transaction cannot be read."""
    topics = _topics(kafka, [stage])
    mine = {place: found for place, found in bounds.items() if place[0] in topics}
    done = _committed(kafka, stage, mine)
    return sum(max(0, found.stable - max(done.get(place, found.start), found.start)) for place, found in mine.items())
