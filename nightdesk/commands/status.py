"""`nightdesk status`: where things run, whether each stage does, and how far behind it is."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any

import typer
from confluent_kafka import ConsumerGroupState, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # its types forget what it exports

from nightdesk.commands import why_text
from nightdesk.control import read_control
from nightdesk.dead_letters.reading import open_letters
from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.registered_codec import registered_codec
from nightdesk.settings import KafkaSettings, Settings, load_settings
from schemas.topics import AUDIT
from sinks.story import Halt
from streams.catalog import STAGES
from streams.runtime.naming import group_id

ANSWER_WITHIN_S = 10.0
LOOK_AGAIN_AFTER_S = 0.5

# What each stage reads; the sink is a stage like the others to whoever asks.
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

# A broker that has just started, or topics that have just been made: asked again a moment later it knows.
PASSING_ERRORS = (
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.NOT_COORDINATOR,
)


@dataclass(frozen=True, slots=True)
class StageStatus:
    """`state` is running, rebalancing or stopped; `lag` counts records that are not committed.

    `in_flight`, those of them that a worker has in hand, is 0 without lag; with it only the worker's metrics know.
    """

    state: str
    lag: int
    in_flight: int | None


@dataclass(frozen=True, slots=True)
class Order:
    """What keeps an agent from acting; `*` is every agent."""

    agent: str
    kind: str
    issued_by: str
    reason: str
    time: datetime


def status(
    output: OutputOption = Output.text,
    wait: Annotated[float, typer.Option(help="seconds to wait until every stage runs and nothing is left to do")] = 0.0,
) -> None:
    """Say where things run and how far behind each stage is. With --wait the exit code is 5 when it takes longer."""
    settings = load_settings()
    until = time.monotonic() + wait
    stages = stage_status(settings.kafka)
    while not _is_done(stages) and time.monotonic() < until:
        time.sleep(LOOK_AGAIN_AFTER_S)
        stages = stage_status(settings.kafka)
    _print(settings, _rows(stages, _open_letters(settings)), _halted(settings), output)
    if wait and not _is_done(stages):
        waiting = [name for name, stage in stages.items() if stage.state != "running" or stage.lag]
        raise Failure(f"not done after {wait:g} s: {', '.join(waiting)}", code=ExitCode.NOT_READY)


def stage_status(kafka: KafkaSettings) -> dict[str, StageStatus]:
    """Stage -> status, as the broker knows it. Raises `Failure` when it does not answer."""
    admin = AdminClient(kafka.client_config() | {"log_level": 0})
    until = time.monotonic() + ANSWER_WITHIN_S
    while True:
        try:
            return _ask(admin, kafka.topic_prefix)
        except KafkaException as error:
            if not _passes(error) or time.monotonic() > until:
                raise Failure(
                    f"Kafka at {kafka.bootstrap_servers} does not answer: {error.args[0].str()}",
                    "Start it, or correct NIGHTDESK_KAFKA__BOOTSTRAP_SERVERS",
                    ExitCode.UNREACHABLE,
                ) from error
        time.sleep(LOOK_AGAIN_AFTER_S)


def _ask(admin: AdminClient, topic_prefix: str) -> dict[str, StageStatus]:
    ends = _ends(admin, topic_prefix)
    states = _states(admin, topic_prefix)
    lags = {stage: _lag(admin, topic_prefix, stage, ends) for stage in TOPICS_OF_STAGE}
    return {
        stage: StageStatus(state=states[stage], lag=lag, in_flight=None if lag else 0) for stage, lag in lags.items()
    }


def _passes(error: KafkaException) -> bool:
    return error.args[0].code() in PASSING_ERRORS


def _is_done(stages: Mapping[str, StageStatus]) -> bool:
    return all(stage.state == "running" and not stage.lag for stage in stages.values())


def _states(admin: AdminClient, topic_prefix: str) -> dict[str, str]:
    names = {group_id(topic_prefix, stage): stage for stage in TOPICS_OF_STAGE}
    asked = admin.describe_consumer_groups(list(names), request_timeout=ANSWER_WITHIN_S)
    return {names[group]: STATE_OF_GROUP[future.result().state] for group, future in asked.items()}


def _ends(admin: AdminClient, topic_prefix: str) -> dict[tuple[str, int], tuple[int, int]]:
    """(topic, partition) -> first and next offset, of every topic that a stage reads."""
    wanted = {topic_prefix + topic for topics in TOPICS_OF_STAGE.values() for topic in topics}
    known = admin.list_topics(timeout=ANSWER_WITHIN_S).topics
    partitions = [(topic, partition) for topic in wanted & known.keys() for partition in known[topic].partitions]
    first = _offsets(admin, partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
    following = _offsets(admin, partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
    return {place: (first[place], following[place]) for place in partitions}


def _offsets(admin: AdminClient, partitions: Sequence[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
    if not partitions:
        return {}
    asked = admin.list_offsets({TopicPartition(*place): spec for place in partitions}, request_timeout=ANSWER_WITHIN_S)
    return {(place.topic, place.partition): future.result().offset for place, future in asked.items()}


def _lag(admin: AdminClient, topic_prefix: str, stage: str, ends: Mapping[tuple[str, int], tuple[int, int]]) -> int:
    topics = {topic_prefix + topic for topic in TOPICS_OF_STAGE[stage]}
    group = group_id(topic_prefix, stage)
    (asked,) = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(group)], request_timeout=ANSWER_WITHIN_S
    ).values()
    committed = {(place.topic, place.partition): place.offset for place in asked.result().topic_partitions}
    return sum(
        following - max(committed.get(place, first), first)
        for place, (first, following) in ends.items()
        if place[0] in topics
    )


def _halted(settings: Settings) -> list[Order] | None:
    """Who may not act, and why; None where nobody can read the orders now."""
    try:
        orders = read_control(settings).orders()
    except Failure:
        return None
    return [
        Order(order.agent, order.kind, order.issued_by, order.reason, order.time)
        for order in orders
        if order.kind in ("pause", "stop_all")
    ]


def _open_letters(settings: Settings) -> Mapping[str, int] | None:
    """Stage -> its open dead letters; None where nobody can read them now."""
    try:
        with registered_codec(settings) as codec:
            return open_letters(settings.kafka, codec)
    except Failure:
        return None


def _rows(stages: Mapping[str, StageStatus], letters: Mapping[str, int] | None) -> dict[str, dict[str, Any]]:
    return {
        name: {**asdict(stage), "dead_letters": None if letters is None else letters.get(name, 0)}
        for name, stage in stages.items()
    }


def _print(
    settings: Settings, stages: Mapping[str, dict[str, Any]], halted: Sequence[Order] | None, output: Output
) -> None:
    endpoints = {
        "kafka": {"bootstrap_servers": settings.kafka.bootstrap_servers, "topic_prefix": settings.kafka.topic_prefix},
        "schema_registry": {"url": settings.schema_registry.url},
        "clickhouse": {"url": settings.clickhouse.public_url},
    }
    if output is Output.json:
        document: dict[str, Any] = {**endpoints, "stages": stages}
        document["halted"] = None if halted is None else [asdict(order) for order in halted]
        print(json.dumps(document, indent=2, default=str))
        return
    print(f"kafka            {settings.kafka.bootstrap_servers}")
    print(f"schema registry  {settings.schema_registry.url}")
    print(f"clickhouse       {settings.clickhouse.public_url}\n")
    if halted is None:
        print("who is paused cannot be read: see `nightdesk doctor`\n")
    for order in halted or ():
        print(why_text.halted(_as_told(order)) + "\n")
    print_rows([{"stage": name, **stage} for name, stage in stages.items()], output)


def _as_told(order: Order) -> Halt:
    return Halt(agent=order.agent, order=order.kind, issued_by=order.issued_by, reason=order.reason, since=order.time)
