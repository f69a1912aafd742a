"""The loop that carries the audit topic into ClickHouse. Called by `nightdesk sink` through `run`.

A batch is landed partition by partition and its offsets are committed after ClickHouse's OK. Whatever cannot be landed
now (ClickHouse or the registry is away) is rewound and consumed again after a pause: nothing is dropped, nothing is
committed, and the consumer keeps its place in the group because it goes on polling.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.codec import Codec, RegistryUnavailable, Undecodable
from schemas.records import AuditRecord
from sinks.audit.dead_letters import DeadLetters
from sinks.audit.metrics import Metrics
from sinks.audit.table import AuditTable, Landing
from sinks.clickhouse.connection import ANY_FAILURE, UNREACHABLE, connect, one_line

log = structlog.get_logger(__name__)

# Reads of this size let the loop stop in time when records are large.
MESSAGES_PER_READ = 500
CANNOT_LAND: tuple[type[Exception], ...] = (RegistryUnavailable, *ANY_FAILURE)


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """`kafka` and `clickhouse` are the clients' own arguments; `topic` and `group_id` are full names."""

    kafka: Mapping[str, Any]
    clickhouse: Mapping[str, Any]
    topic: str
    group_id: str
    instance_id: str
    session_timeout_s: int = 30
    metrics_port: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """How much goes into one insert, and how long to wait when one fails.

    Each insert makes a part that ClickHouse has to merge, so few large ones: the linger is what `why` may be behind.
    When nothing more came for `quiet_s` there is nothing to wait for.
    """

    batch_messages: int = 5000
    batch_bytes: int = 64_000_000
    linger_s: float = 2.0
    quiet_s: float = 0.25
    first_pause_s: float = 0.25
    longest_pause_s: float = 15.0

    def pause_s(self, failures: int) -> float:
        """Doubles with each failure in a row; half of it is chance, so that sinks do not knock all at once."""
        whole = min(self.longest_pause_s, self.first_pause_s * 2.0 ** min(failures - 1, 16))
        return whole * (0.5 + random.random() / 2)  # noqa: S311 - spreads load, protects nothing


# After either the consumer gives nothing more, for ever. The error that carries `_FATAL` denies that it is fatal.
DEAD = frozenset({KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL})


class Fenced(Exception):
    """Another has this instance's place in the group, or did while the broker stood still: a new process may join."""


class Sink:
    """One consumer and where it lands. `run` ends when `stop` is set, or with `Fenced` or `DeadLetterNotDelivered`."""

    def __init__(self, settings: SinkSettings, codec: Codec, policy: Policy) -> None:
        self._consumer = _consumer(settings)
        self._table = AuditTable(lambda: connect(settings.clickhouse))
        self._dead_letters = DeadLetters(settings.kafka, codec)
        self._codec = codec
        self._metrics = Metrics()
        self._policy = policy
        self._settings = settings
        self._failures = 0
        # The highest offset that had landed when we last had reason to doubt: up to there rows are looked up first.
        self._doubted_until: dict[int, int] = {}
        # Dead letters of shares that have not landed yet: a retry must not park them again.
        self._parked: dict[tuple[int, int], AuditRecord] = {}

    def run(self, stop: threading.Event) -> None:
        """Subscribe and land until `stop`; what is in hand is landed before it returns."""
        if self._settings.metrics_port:
            self._metrics.serve(self._settings.metrics_port)
        self._consumer.subscribe([self._settings.topic], on_assign=self._on_assign)
        log.info("sink started", topic=self._settings.topic, group=self._settings.group_id)
        try:
            while not stop.is_set():
                self._metrics.beat()
                messages = self._gather()
                if messages and not self._land(messages):
                    stop.wait(self._policy.pause_s(self._failures))
        finally:
            self._consumer.close()
            self._table.close()
        log.info("sink stopped")

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._doubted_until.clear()
        log.info("partitions assigned", partitions=sorted(partition.partition for partition in partitions))

    def _gather(self) -> list[Message]:
        """What arrives within the linger time or until it is quiet, bounded in messages and bytes."""
        policy = self._policy
        messages: list[Message] = []
        size = 0
        until = time.monotonic() + policy.linger_s
        while len(messages) < policy.batch_messages and size < policy.batch_bytes:
            wait_s = until - time.monotonic()
            if wait_s <= 0:
                break
            wanted = min(MESSAGES_PER_READ, policy.batch_messages - len(messages))
            # `consume` waits until it has as many as it was asked for, or the time is over.
            quiet = min(wait_s, policy.quiet_s)
            read = [message for message in self._consumer.consume(wanted, quiet) if _is_record(message)]
            if messages and not read:
                break
            messages += read
            size += sum(len(message) for message in read)
        return messages

    def _land(self, messages: list[Message]) -> bool:
        """Land and commit each partition's share; what fails is rewound. Says whether all went well."""
        shares: dict[int, list[Message]] = defaultdict(list)
        for message in messages:
            shares[_partition(message)].append(message)
        done: list[TopicPartition] = []
        failed = is_away = False
        for partition, share in shares.items():
            if is_away:
                self._rewind(share[0])
                continue
            try:
                self._land_share(partition, share)
            except CANNOT_LAND as error:
                self._tell(share, error)
                self._rewind(share[0])
                failed, is_away = True, isinstance(error, UNREACHABLE)
            else:
                self._forget_parked(partition)
                done.append(TopicPartition(str(share[-1].topic()), partition, _offset(share[-1]) + 1))
        self._commit(done)
        self._failures = self._failures + 1 if failed else 0
        return not failed

    def _land_share(self, partition: int, share: list[Message]) -> None:
        topic = str(share[0].topic())
        landing = Landing(topic, partition, [self._record(message) for message in share], [_offset(m) for m in share])
        if partition not in self._doubted_until:
            self._doubted_until[partition] = self._table.highest_offset(topic, partition)
        if landing.offsets[0] <= self._doubted_until[partition]:
            landing = landing.without(self._table.landed(landing))
        if landing.offsets:
            with self._metrics.insert_seconds.time():
                self._table.insert(landing)
        self._metrics.landed(len(landing.offsets))

    def _record(self, message: Message) -> AuditRecord:
        payload = message.value()
        try:
            return self._codec.decode(AuditRecord, payload if isinstance(payload, bytes) else None)
        except Undecodable as error:
            return self._park(message, error)

    def _park(self, message: Message, error: Undecodable) -> AuditRecord:
        place = _partition(message), _offset(message)
        if place not in self._parked:
            log.error("dead letter", partition=place[0], offset=place[1], reason=str(error))
            self._parked[place] = self._dead_letters.park(message, error)
            self._metrics.dead_letters.inc()
        return self._parked[place]

    def _forget_parked(self, partition: int) -> None:
        self._parked = {place: record for place, record in self._parked.items() if place[0] != partition}

    def _tell(self, share: list[Message], error: Exception) -> None:
        self._metrics.failures.inc()
        log.warning(
            "not landed, will try again; nothing is committed",
            partition=share[0].partition(),
            offset=share[0].offset(),
            records=len(share),
            reason=one_line(error),
        )

    def _rewind(self, first: Message) -> None:
        place = TopicPartition(str(first.topic()), _partition(first), _offset(first))
        # The insert may have been stored and only its answer lost.
        self._doubted_until.pop(place.partition, None)
        self._table.close()
        try:
            self._consumer.seek(place)
        except KafkaException as gone:
            log.info("partition is no longer ours", partition=place.partition, reason=str(gone))

    def _commit(self, places: list[TopicPartition]) -> None:
        if not places:
            return
        try:
            self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            # The rows are there: whoever reads them again finds them by offset and id.
            log.warning("offsets not committed", reason=str(error))


def run(settings: SinkSettings, codec: Codec, stop: threading.Event, policy: Policy | None = None) -> None:
    """Run one sink until `stop` is set."""
    Sink(settings, codec, policy or Policy()).run(stop)


def _consumer(settings: SinkSettings) -> Consumer:
    return Consumer(
        {
            **settings.kafka,
            "group.id": settings.group_id,
            "group.instance.id": settings.instance_id,
            "session.timeout.ms": settings.session_timeout_s * 1000,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 100,
            "queued.max.messages.kbytes": 65_536,
        }
    )


def _is_record(message: Message) -> bool:
    error = message.error()
    if error is None:
        return True
    if error.fatal() or error.code() in DEAD:
        raise Fenced(error.str())
    log.warning("kafka", reason=error.str())
    return False


def _partition(message: Message) -> int:
    partition = message.partition()
    assert partition is not None, "a consumed message has a partition"
    return partition


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None, "a consumed message has an offset"
    return offset
