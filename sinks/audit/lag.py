"""How far ClickHouse is behind the end of the audit topic: in records, and by the age of the oldest of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from confluent_kafka import Consumer, Message, TopicPartition

from nightdesk.sinks.audit.metrics import Metrics
from nightdesk.sinks.audit.writer import offset_of, partition_of


class Lag:
    """Measures the lag of this sink's partitions. The consumer knows the ends of the logs, so the broker is not
    asked.
    """

    def __init__(self, consumer: Consumer, topic: str, metrics: Metrics) -> None:
        self._consumer = consumer
        self._topic = topic
        self._metrics = metrics
        self._next: dict[int, int] = {}
        self._waiting_since: dict[int, float] = {}

    def assigned(self) -> None:
        """Forget all partitions, because this sink may have others now."""
        self._next.clear()
        self._waiting_since.clear()
        self._tell()

    def gathered(self, messages: Sequence[Message]) -> None:
        """Note messages that were read and are not stored yet. If a batch cannot be written, its messages keep their
        age.
        """
        for message in messages:
            partition = partition_of(message)
            self._next.setdefault(partition, offset_of(message))
            self._waiting_since.setdefault(partition, message.timestamp()[1] / 1000)
        self._tell()

    def committed(self, offsets: Mapping[int, int]) -> None:
        """Note that everything before these offsets is stored."""
        for partition, offset in offsets.items():
            self._next[partition] = offset
            self._waiting_since.pop(partition, None)
        self._tell()

    def _tell(self) -> None:
        ends = {one: self._end(one) for one in self._next}
        behind = sum(max(0, ends[partition] - offset) for partition, offset in self._next.items())
        self._metrics.behind(behind, min(self._waiting_since.values(), default=None))

    def _end(self, partition: int) -> int:
        """The end of the partition's log; below 0 if the consumer does not know it yet."""
        return int(self._consumer.get_watermark_offsets(TopicPartition(self._topic, partition), cached=True)[1])
