"""Checks the partition of a record, and forwards an event that is in another one than its subject.

All state of a subject (seen events, limits, queues, open decisions) is in the subject's partition: murmur2 of the key
modulo the number of partitions, as Java clients compute it. The guard calls this module before a handler sees a record:

- Others produce events, and most clients hash differently (librdkafka's default is CRC32). An event in another
  partition is forwarded: the same bytes and headers go to the right partition of the same topic, with the subject as
  key and a header that names the first place. So an event that is forwarded twice, because the process died before its
  commit, counts as one delivery.
- Only we produce to the other topics. A record in the wrong partition, or whose Kafka key is not the key that the
  record itself names, is a dead letter.
"""

import re
from datetime import UTC, datetime
from hashlib import sha256

from nightdesk.messaging.partitions import partition_of
from nightdesk.messaging.producer import Message
from nightdesk.schemas.bounds import RECORD_BYTES_AT_MOST
from nightdesk.schemas.records import Record
from nightdesk.schemas.topics import INGEST, Topic
from nightdesk.streams.api.stage import QueueOf
from nightdesk.streams.api.staged_writes import RecordTooLarge, StagedWrites
from nightdesk.streams.metrics import FORWARDED
from nightdesk.streams.runtime.handling.delivery import RawEvent

ORIGIN_HEADER = "nightdesk-origin"
# When the broker stored the record at its first place, in milliseconds since 1970.
STORED_HEADER = "nightdesk-stored-ms"
# A record that cannot be decoded goes by its Kafka key, and by its subject if a replay can decode it. More forwards
# mean that workers disagree about the number of partitions: the record must not travel between them forever.
FORWARDS_AT_MOST = 2
_PLACE = re.compile(rb"\d{1,10}:\d{1,19}")
_MILLISECONDS = re.compile(rb"\d{1,14}")


class WrongPartition(ValueError):
    """The record is not in the partition of its key, and may not be moved there."""


class Repartitioner:
    """Finds the events of one stage that are in another partition than their subject's, and forwards them."""

    def __init__(self, stage: str, topic_prefix: str, partitions: int) -> None:
        self.partitions = partitions
        self._stage = stage
        self._topic_prefix = topic_prefix

    def is_elsewhere(self, event: RawEvent, topic: Topic, record: Record | None) -> bool:
        """Whether an event is in another partition than its subject's. One that cannot be decoded is checked by its
        key.
        """
        if topic is not INGEST:
            return False
        key = (event.key or b"") if record is None else record_key(topic, record)
        return bool(key) and partition_of(key, self.partitions) != event.partition

    def forward(self, event: RawEvent, key: bytes, writes: StagedWrites) -> None:
        """Send the event to the partition of `key`. Raises `WrongPartition` or `RecordTooLarge`."""
        forward(writes, event, key, partition_of(key, self.partitions))
        FORWARDED.labels(stage=self._stage, topic=event.topic.removeprefix(self._topic_prefix)).inc()

    def forward_undecoded(self, event: RawEvent, topic: Topic, queue_of: QueueOf | None, writes: StagedWrites) -> bool:
        """Forward a record that cannot be decoded if it may block its key, because the key's partition has the queue.
        Whether it was forwarded.
        """
        if not event.key or queue_of is None or not self.is_elsewhere(event, topic, None):
            return False
        if queue_of(None, event.key) is None or not may_be_forwarded(event, event.key):
            return False
        self.forward(event, event.key, writes)
        return True


def check_partition(topic: Topic, record: Record, event: RawEvent, partitions: int) -> None:
    """Raise `WrongPartition` for a record of a topic that only we produce to."""
    if topic is INGEST:
        return
    key = record_key(topic, record)
    if event.key != key:
        raise WrongPartition(f"its Kafka key is not its {topic.key}, which is the key of every record on {topic.name}")
    target = partition_of(key, partitions)
    if event.partition != target:
        raise WrongPartition(f"it is in partition {event.partition} of {topic.name}, and its key belongs to {target}")


def record_key(topic: Topic, record: Record) -> bytes:
    """The Kafka key that the record itself names."""
    return str(getattr(record, topic.key)).encode()


def forward(writes: StagedWrites, event: RawEvent, key: bytes, target: int) -> None:
    """Send the record to the partition of its subject, unchanged. Raises `WrongPartition` or `RecordTooLarge`."""
    if _forwards(event) >= FORWARDS_AT_MOST:
        raise WrongPartition(
            f"it was forwarded {FORWARDS_AT_MOST} times and is in partition {event.partition}, not {target}:"
            " do all workers have the same NIGHTDESK_KAFKA__PARTITIONS?"
        )
    if _size(event, key) > RECORD_BYTES_AT_MOST:
        raise RecordTooLarge(f"it is too large to be forwarded: at most {RECORD_BYTES_AT_MOST} bytes are allowed")
    place = f"{event.partition}:{event.offset}".encode()
    trace = tuple(header for header in writes.headers if header not in event.headers)
    stored = ((STORED_HEADER, b"%d" % (event.timestamp * 1000)),) if event.is_broker_time else ()
    headers = (*event.headers, *trace, (ORIGIN_HEADER, place), *stored)
    writes.messages.append(Message(event.topic, key, event.value, headers, target))


def may_be_forwarded(event: RawEvent, key: bytes) -> bool:
    """Whether `forward` would accept it."""
    return _forwards(event) < FORWARDS_AT_MOST and _size(event, key) <= RECORD_BYTES_AT_MOST


def _size(event: RawEvent, key: bytes) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in event.headers)
    return len(key) + len(event.value or b"") + headers


def _forwards(event: RawEvent) -> int:
    """How often the record claims to have been forwarded."""
    return sum(name == ORIGIN_HEADER and bool(_PLACE.fullmatch(value or b"")) for name, value in event.headers)


def first_stored_at(event: RawEvent) -> datetime | None:
    """When the broker stored the record at its first place; None if it does not say so.

    Any producer can write this header, and with it makes its own event older and no other younger.
    """
    stored = event.stored_at
    claimed = [
        value for name, value in event.headers if name == STORED_HEADER and _MILLISECONDS.fullmatch(value or b"")
    ]
    if stored is None or not claimed:
        return stored
    return min(stored, datetime.fromtimestamp(int(claimed[0] or b"0") / 1000, UTC))


def origin_of(event: RawEvent) -> str:
    """The record's claimed first place, and its digest; empty for a record that was not forwarded.

    Any producer can write this header. The digest makes a forged one harmless: it can only claim to be a record with
    the same bytes.
    """
    for name, value in event.headers:
        if name == ORIGIN_HEADER and _PLACE.fullmatch(value or b""):
            return f"{(value or b'').decode()}#{sha256(event.value or b'').hexdigest()[:32]}"
    return ""
