"""Which partition a record belongs to. The guard asks; nothing else may produce to another.

What is remembered of a subject lies in its partition. Somebody who puts a copy of a record elsewhere would meet a stage
that knows nothing of it, and have it done once more.
"""

from aiokafka.partitioner import murmur2

from schemas.records import Record
from schemas.topics import INGEST, Topic


class Misplaced(ValueError):
    """The record does not lie where its key puts it: none of ours produced it."""


def check_home(topic: Topic, record: Record, partition: int, partitions: int) -> None:
    """Raise `Misplaced`. Producers of events may spread them as they like; all other topics are ours."""
    if topic is INGEST:
        return
    key = str(getattr(record, topic.key)).encode()
    home = (murmur2(key) & 0x7FFFFFFF) % partitions
    if partition != home:
        raise Misplaced(f"it lies in partition {partition} of {topic.name}, and its key belongs to {home}")
