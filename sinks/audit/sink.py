"""The loop that carries the audit topic into ClickHouse. Called by `nightdesk sink` through `run`.

A batch is landed in one insert and its offsets are committed after ClickHouse's OK. Whatever cannot be landed now
(ClickHouse or the registry is away) is rewound and consumed again after a pause: nothing is dropped, nothing is
committed, and the consumer keeps its place in the group because it goes on polling. A batch that is refused is landed
partition by partition, so that a record that cannot land holds up its own partition and no other.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.codec import Codec, RegistryUnavailable
from sinks.audit.dead_letters import DeadLetters
from sinks.audit.landing import Lander, Share, offset_of, partition_of, shares_of
from sinks.audit.metrics import Metrics
from sinks.audit.table import AuditTable
from sinks.clickhouse.connection import ANY_FAILURE, UNREACHABLE, connect, one_line

log = structlog.get_logger(__name__)

# Reads of this size let the loop stop in time when records are large.
MESSAGES_PER_READ = 500
# How long the loop waits for a first record before it looks whether it is to stop.
IDLE_S = 0.5
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

    Each insert costs ClickHouse some 20 ms of CPU whatever is in it, and makes a part that has to be merged, so few
    large ones: the linger is what `why` may be behind. When nothing more came for `quiet_s` there is nothing to wait
    for, but for `pace_s` since the last insert: records that come one by one, each after such a silence, are no reason
    for an insert each. So many as `worth_messages` are.
    """

    batch_messages: int = 10_000
    batch_bytes: int = 64_000_000
    linger_s: float = 2.0
    # Longer than the broker waits for a full answer (`fetch.wait.max.ms`): between two answers it is not quiet.
    quiet_s: float = 0.15
    pace_s: float = 0.5
    worth_messages: int = 1000
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
        self._metrics = Metrics()
        self._lander = Lander(self._table, codec, DeadLetters(settings.kafka, codec), self._metrics)
        self._policy = policy
        self._settings = settings
        self._failures = 0
        self._landed_at = 0.0

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
                if messages and not self._land(shares_of(messages)):
                    stop.wait(self._policy.pause_s(self._failures))
        finally:
            self._consumer.close()
            self._table.close()
        log.info("sink stopped")

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._lander.doubt()
        log.info("partitions assigned", partitions=sorted(partition.partition for partition in partitions))

    def _gather(self) -> list[Message]:
        """What arrives within the linger time or until it is quiet, bounded in messages and bytes."""
        policy = self._policy
        messages = self._read(IDLE_S)
        size = sum(map(len, messages))
        until = time.monotonic() + policy.linger_s
        while messages and len(messages) < policy.batch_messages and size < policy.batch_bytes:
            now = time.monotonic()
            if now >= until:
                break
            read = self._read(min(until - now, policy.quiet_s), policy.batch_messages - len(messages))
            if not read and self._is_worth_an_insert(messages):
                break
            messages += read
            size += sum(map(len, read))
        return messages

    def _is_worth_an_insert(self, messages: Sequence[Message]) -> bool:
        policy = self._policy
        return len(messages) >= policy.worth_messages or time.monotonic() >= self._landed_at + policy.pace_s

    def _read(self, wait_s: float, at_most: int = MESSAGES_PER_READ) -> list[Message]:
        """What is there, or the first that comes in time."""
        # `consume` waits until it has as many as it was asked for, or the time is over.
        read = self._consumer.consume(1, wait_s)
        more = min(at_most, MESSAGES_PER_READ) - len(read)
        if read and more:
            read += self._consumer.consume(more, 0)
        return [message for message in read if _is_record(message)]

    def _land(self, shares: list[Share]) -> bool:
        """Land and commit the batch, at once or else share by share; the rest is rewound. Says whether all landed."""
        self._landed_at = time.monotonic()
        attempts = deque([shares])
        rewound: list[Share] = []
        while attempts:
            attempt = attempts.popleft()
            try:
                self._lander.land(attempt)
            except CANNOT_LAND as error:
                # It may have been stored, in part or whole, and only its answer lost.
                self._lander.doubt()
                self._table.close()
                self._tell(attempt, error)
                if len(attempt) > 1 and _may_lie_in_one(error):
                    attempts.extend([share] for share in attempt)
                    continue
                rewound += attempt
                if isinstance(error, UNREACHABLE):
                    rewound += [share for left in attempts for share in left]
                    break
            else:
                self._commit(attempt)
        self._rewind(rewound)
        self._failures = self._failures + 1 if rewound else 0
        return not rewound

    def _tell(self, shares: Sequence[Share], error: Exception) -> None:
        self._metrics.failures.inc()
        log.warning(
            "not landed, will try again; nothing is committed",
            places=[f"{partition_of(share[0])}:{offset_of(share[0])}" for share in shares],
            records=sum(map(len, shares)),
            reason=one_line(error),
        )

    def _rewind(self, shares: Sequence[Share]) -> None:
        for share in shares:
            first = share[0]
            try:
                self._consumer.seek(TopicPartition(str(first.topic()), partition_of(first), offset_of(first)))
            except KafkaException as gone:
                log.info("partition is no longer ours", partition=partition_of(first), reason=str(gone))

    def _commit(self, shares: Sequence[Share]) -> None:
        last = [share[-1] for share in shares]
        places = [TopicPartition(str(one.topic()), partition_of(one), offset_of(one) + 1) for one in last]
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
            # A batch lingers anyway, and an answer for every few records costs the broker and us more than they do.
            "fetch.min.bytes": 65_536,
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


def _may_lie_in_one(error: Exception) -> bool:
    """Whether one record may be the reason (refused, or of a new schema), so that other partitions can go on."""
    return isinstance(error, RegistryUnavailable) or not isinstance(error, UNREACHABLE)
