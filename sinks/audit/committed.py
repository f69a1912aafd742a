"""Reads and writes what the sink's group commits for a partition: an offset, the value of its chain, and the log to
which both belong.

The metadata of a commit is the value, which versions before this one wrote alone, and then the id of the topic
(`messaging/log_identity.py`). confluent-kafka 2.16 reads metadata as a C string, which it is not: bytes of its own
memory may follow, and if they are no text the metadata cannot be read at all. They differ each time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from confluent_kafka import Consumer, TopicPartition

from nightdesk.messaging.log_identity import is_of_another_log, stamped

CHAIN_VALUE = re.compile("[0-9a-f]{64}")
READS_AT_MOST = 10


def metadata_of(chain_value: str, topic_id: str) -> str:
    """The metadata for a commit; `chain_value` is empty where no chain has begun."""
    return chain_value + stamped("", topic_id)


def chain_value(place: TopicPartition) -> str:
    """The value of the chain that was committed; empty if there is none."""
    found = CHAIN_VALUE.match(_metadata(place) or "")
    return found.group() if found else ""


def is_of_log(place: TopicPartition, topic_id: str) -> bool:
    """Whether the offset counts in the log of the topic with this id."""
    behind_value = CHAIN_VALUE.sub("", _metadata(place) or "", count=1)
    return not is_of_another_log(behind_value, topic_id)


def read_committed(consumer: Consumer, places: Iterable[TopicPartition], within_s: float) -> list[TopicPartition]:
    """The group's commit for each place; its offset is negative if there is none. Raises `KafkaException`."""
    wanted = list(places)
    for _ in range(READS_AT_MOST):
        found = consumer.committed(wanted, timeout=within_s)
        if all(_metadata(place) is not None for place in found):
            break
    return list(found)


def _metadata(place: TopicPartition) -> str | None:
    """None if it cannot be read."""
    try:
        return place.metadata or ""
    except UnicodeDecodeError:
        return None
