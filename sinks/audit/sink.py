"""The loop that writes the audit topic to ClickHouse.

A batch is written in one insert, and its offsets are committed after ClickHouse's OK. A batch that cannot be written
now (ClickHouse or the registry is away) is rewound and consumed again after a pause: nothing is dropped and nothing is
committed. The consumer keeps its place in the group because it continues to poll. A refused batch is written partition
by partition, so a record that cannot be written blocks only its own partition.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from nightdesk.messaging.consumed import is_unreadable, skip_unreadable
from nightdesk.messaging.log_identity import Log
from nightdesk.schemas.codec import Codec
from nightdesk.sinks.audit.consumer import consumer_of, is_end, is_record
from nightdesk.sinks.audit.dead_letters import DeadLetters
from nightdesk.sinks.audit.forgotten import ForgottenReader
from nightdesk.sinks.audit.hours import HourCounter
from nightdesk.sinks.audit.lag import Lag
from nightdesk.sinks.audit.losses import LossWatch
from nightdesk.sinks.audit.metrics import Metrics
from nightdesk.sinks.audit.offsets import Offsets
from nightdesk.sinks.audit.policy import BatchPolicy, SinkSettings
from nightdesk.sinks.audit.table import AuditTable
from nightdesk.sinks.audit.writer import (
    CANNOT_LAND,
    PartitionSlice,
    Writer,
    may_lie_in_one,
    offset_of,
    partition_of,
    slices_of,
)
from nightdesk.sinks.clickhouse.connection import UNREACHABLE, connect, one_line

log = logging.getLogger(__name__)

# Reads of this size let the loop stop in time if records are large.
MESSAGES_PER_READ = 500
# How long the loop waits for a first record before it checks whether it is to stop.
IDLE_S = 0.5


class Sink:
    """One consumer and its writer. `run` ends when `stop` is set, or with `Fenced` or `DeadLetterNotDelivered`."""

    def __init__(self, settings: SinkSettings, codec: Codec, policy: BatchPolicy) -> None:
        self._consumer = consumer_of(settings)
        self._table = AuditTable(lambda: connect(settings.clickhouse))
        self._metrics = Metrics()
        self._dead_letters = DeadLetters(settings.kafka, codec)
        self._forgotten = ForgottenReader(settings, codec)
        self._writer = Writer(self._table, codec, self._dead_letters, self._metrics, self._forgotten)
        self._hours = HourCounter(lambda: connect(settings.clickhouse), policy.hours_pause_s)
        self._policy = policy
        self._settings = settings
        self._failures = 0
        self._landed_at = 0.0
        self._lag = Lag(self._consumer, settings.topic, self._metrics)
        self._offsets = Offsets(self._consumer, self._writer.chains, self._lag)
        self._losses = LossWatch(self._consumer, settings.topic, self._report_loss)
        # The offsets at which a partition cannot be read. The records before it have been read, and none after it.
        self._unreadable: dict[tuple[int, int], Message] = {}

    def run(self, stop: threading.Event) -> None:
        """Subscribe and write until `stop` is set; the current batch is written before it returns."""
        if self._settings.metrics_port:
            self._metrics.serve(self._settings.metrics_port, self._settings.metrics_host)
        self._consumer.subscribe([self._settings.topic], on_assign=self._on_assign)
        log.info("sink started", extra={"topic": self._settings.topic, "group": self._settings.group_id})
        try:
            while not stop.is_set():
                self._metrics.beat()
                messages = self._gather()
                self._lag.gathered(messages)
                if messages and not self._write_batch(slices_of(messages)):
                    stop.wait(self._policy.pause_s(self._failures))
                else:
                    self._skip_unreadable()
                    self._offsets.commit_ends()
                    self._hours.turn()
        finally:
            self._consumer.close()
            self._forgotten.close()
            self._table.close()
        log.info("sink stopped")

    def _on_assign(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        topic = self._settings.topic
        now = Log(topic, self._settings.topic_id(topic))
        self._writer.invalidate_deduplication()
        self._writer.begin_log(now.topic_id)
        self._unreadable.clear()
        self._losses.assigned(self._offsets.assigned(partitions, now))
        log.info("partitions assigned", extra={"partitions": sorted(partition.partition for partition in partitions)})

    def _gather(self) -> list[Message]:
        """The records that arrive within the linger time or until it is quiet, bounded in messages and bytes."""
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
        """The available messages, or the first one that comes in time."""
        until = time.monotonic() + wait_s
        # `consume` waits until it has as many as requested, or the time is over.
        while first := self._consumer.consume(1, max(0.0, until - time.monotonic())):
            read = self._records(first)
            if read:
                more = min(at_most, MESSAGES_PER_READ) - 1
                return read + (self._records(self._consumer.consume(more, 0)) if more else [])
        return []

    def _records(self, messages: Sequence[Message]) -> list[Message]:
        """The records among the messages. The ends of logs are noted."""
        for message in messages:
            if is_unreadable(message):
                self._unreadable.setdefault((partition_of(message), offset_of(message)), message)
            elif is_end(message):
                self._offsets.reached_end(partition_of(message), offset_of(message))
                self._losses.came_to(partition_of(message), offset_of(message))
            elif is_record(message):
                self._losses.passed(partition_of(message), offset_of(message))
        return [message for message in messages if message.error() is None]

    def _write_batch(self, shares: list[PartitionSlice]) -> bool:
        """Write and commit the batch, at once or slice by slice; rewind the rest. Whether everything was written."""
        self._landed_at = time.monotonic()
        attempts = deque([shares])
        rewound: list[PartitionSlice] = []
        while attempts:
            attempt = attempts.popleft()
            try:
                self._writer.land(attempt)
            except CANNOT_LAND as error:
                # It may have been stored, in part or completely, and only the response lost.
                self._writer.invalidate_deduplication()
                self._table.close()
                self._tell(attempt, error)
                if len(attempt) > 1 and may_lie_in_one(error):
                    attempts.extend([share] for share in attempt)
                    continue
                rewound += attempt
                if isinstance(error, UNREACHABLE):
                    rewound += [share for left in attempts for share in left]
                    break
            else:
                self._offsets.commit({partition_of(share[-1]): offset_of(share[-1]) + 1 for share in attempt})
        self._rewind(rewound)
        self._failures = self._failures + 1 if rewound else 0
        return not rewound

    def _tell(self, shares: Sequence[PartitionSlice], error: Exception) -> None:
        self._metrics.failures.inc()
        log.warning(
            "not written, will try again; nothing is committed",
            extra={
                "places": [f"{partition_of(share[0])}:{offset_of(share[0])}" for share in shares],
                "records": sum(map(len, shares)),
                "reason": one_line(error),
            },
        )

    def _skip_unreadable(self) -> None:
        """Report the offset that cannot be read, and continue after it, because everything before it is written."""
        for (partition, offset), message in self._unreadable.items():
            error = message.error()
            reason = "" if error is None else error.str()
            log.error("dead letter", extra={"partition": partition, "offset": offset, "reason": reason})
            self._dead_letters.unreadable(self._settings.topic, partition, offset, reason)
            self._metrics.dead_letters.inc()
            self._losses.passed(partition, offset)
            self._offsets.commit({partition: offset + 1})
            try:
                skip_unreadable(self._consumer, message)
            except KafkaException as gone:
                log.info("partition is no longer ours", extra={"partition": partition, "reason": str(gone)})
        self._unreadable.clear()

    def _rewind(self, shares: Sequence[PartitionSlice]) -> None:
        if shares:
            self._offsets.rewound()
            self._unreadable.clear()  # the next round commits it again
        for share in shares:
            first = share[0]
            self._losses.rewound(partition_of(first), offset_of(first))
            try:
                self._consumer.seek(TopicPartition(str(first.topic()), partition_of(first), offset_of(first)))
            except KafkaException as gone:
                log.info("partition is no longer ours", extra={"partition": partition_of(first), "reason": str(gone)})

    def _report_loss(self, partition: int, first: int, end: int) -> None:
        where = {"partition": partition, "first": first, "last": end - 1}
        log.error("records were deleted before they were read", extra=where)
        self._dead_letters.lost(self._settings.topic, partition, (first, end))
        self._metrics.lost.inc(end - first)


def run(settings: SinkSettings, codec: Codec, stop: threading.Event, policy: BatchPolicy | None = None) -> None:
    """Run one sink until `stop` is set."""
    Sink(settings, codec, policy or BatchPolicy()).run(stop)
