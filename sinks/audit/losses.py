"""Detects audit records that were deleted before the sink read them.

The Kafka client silently continues where the log begins. So each offset is compared with the previous one, and after a
gap the broker is asked where the log begins now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from confluent_kafka import Consumer, TopicPartition

ANSWER_WITHIN_S = 10.0
# Partition, first lost offset, and the offset after the last lost one.
Report = Callable[[int, int, int], None]


class LossWatch:
    """The sink's offset in each partition. `report` is called for lost records; it raises if it cannot report them."""

    def __init__(self, consumer: Consumer, topic: str, report: Report) -> None:
        self._consumer = consumer
        self._topic = topic
        self._report = report
        self._next: dict[int, int] = {}

    def assigned(self, committed: Iterable[TopicPartition]) -> None:
        """Start at what the group has committed. Without a commit nothing can be lost."""
        self._next = {place.partition: place.offset for place in committed}

    def came_to(self, partition: int, offset: int) -> None:
        """The sink reached a record at `offset`, or the end of the log there."""
        expected = self._next.get(partition)
        if expected is not None and offset > expected:
            self._ask(partition, expected, offset)
        self._next[partition] = offset

    def passed(self, partition: int, offset: int) -> None:
        """The record at `offset` was received."""
        self.came_to(partition, offset)
        self._next[partition] = offset + 1

    def rewound(self, partition: int, offset: int) -> None:
        """The record at `offset` will be received again."""
        self._next[partition] = offset

    def _ask(self, partition: int, expected: int, offset: int) -> None:
        """Report the offsets before the start of the log as lost. Other gaps are transaction markers and aborted
        records.
        """
        place = TopicPartition(self._topic, partition)
        log_start, _ = self._consumer.get_watermark_offsets(place, timeout=ANSWER_WITHIN_S, cached=False)
        if log_start > expected:
            self._report(partition, expected, min(log_start, offset))
