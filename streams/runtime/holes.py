"""Is a missing offset missing in the log, or did we skip it?

Called by the stage when a partition's offsets jump. After a rebalance Faust can skip records that are there (then the
process must stop), but transactional producers and compaction leave real holes (then we go on). The log itself decides,
asked by a consumer that Faust has no part in.
"""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition

ANSWER_TIMEOUT_S = 10.0


def first_offset_from(client_config: Mapping[str, Any], topic: str, partition: int, offset: int) -> int | None:
    """The first offset at or after `offset` that holds a record; None when the broker gives no answer in time."""
    consumer = Consumer(
        {
            **client_config,
            "group.id": "nightdesk-holes",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_uncommitted",
        }
    )
    try:
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(ANSWER_TIMEOUT_S)
        if message is None or message.error() is not None:
            return None
        return message.offset()
    finally:
        consumer.close()
