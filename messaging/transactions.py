"""Open transactions of other producers: nobody can read records behind the first record of one.

Kafka aborts a transaction by itself after its producer's
`transaction.timeout.ms`; one that stays open for longer hangs, and only an administrator can end it
(`kafka-transactions.sh abort`).
"""

from datetime import UTC, datetime
from typing import NamedTuple

from confluent_kafka import TopicPartition

from nightdesk.messaging.clients import ClientConfig, new_reader
from nightdesk.messaging.log_offsets import Bounds, Place

ANSWER_TIMEOUT_S = 10.0
# Longer than a producer should need, and equal to librdkafka's default for one transaction.
LONG_S = 60.0


class OpenTransaction(NamedTuple):
    """A transaction that is neither committed nor aborted. `offset` is its first record, where readers wait."""

    topic: str
    partition: int
    offset: int
    since: datetime

    def is_long(self, now: datetime) -> bool:
        """Whether it is open for longer than `LONG_S`."""
        return (now - self.since).total_seconds() >= LONG_S

    def __str__(self) -> str:
        return (
            f"a transaction on {self.topic}/{self.partition} is open since {self.since:%Y-%m-%d %H:%M:%S} UTC: nothing"
            f" from offset {self.offset} on can be read until it is committed or aborted"
        )


def open_transaction(client_config: ClientConfig, place: Place, bounds: Bounds) -> OpenTransaction | None:
    """The oldest transaction that keeps readers from the end of the log; None without one, or without an answer.

    The last stable offset is its first record, and `since` is that record's time: the broker's, if the topic has
    `message.timestamp.type=LogAppendTime`.
    """
    if bounds.stable >= bounds.end:
        return None
    consumer = new_reader(client_config, "nightdesk-transactions", {"isolation.level": "read_uncommitted"})
    try:
        consumer.assign([TopicPartition(*place, bounds.stable)])
        message = consumer.poll(ANSWER_TIMEOUT_S)
        if message is None or message.error() is not None:
            return None
        since = datetime.fromtimestamp(max(0, message.timestamp()[1]) / 1000, UTC)
        return OpenTransaction(*place, bounds.stable, since)
    finally:
        consumer.close()
