"""All that outlives a process: the topics, the changelogs of the tables, and the committed offsets.

Processes append to it and start from it; `checks.py` reads it from outside.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar, cast

from aiokafka.partitioner import murmur2
from faust.types import TP

from schemas.codec import Codec, Undecodable
from schemas.records import Record
from schemas.topics import BY_NAME, Topic
from streams.runtime.changes import Put
from streams.runtime.delivery import RawEvent
from streams.runtime.producer import Message

R = TypeVar("R", bound=Record)
PARTITIONS = 2
PREFIX = "t."


class ByReference(Codec):
    """Records as tokens. They are frozen, so that the same object on both sides is as good as a copy, and ten times
    as fast; Avro has its own tests.
    """

    def __init__(self) -> None:
        self._records: list[Record] = []

    def encode(self, record: Record) -> bytes:
        self._records.append(record)
        return b"record %d" % (len(self._records) - 1)

    def decode(self, kind: type[R], payload: bytes | None) -> R:
        if payload is None or not payload.startswith(b"record "):
            raise Undecodable(f"{payload!r} is no {kind.__name__}")
        return cast(R, self._records[int(payload[7:])])


@dataclass(slots=True)
class Log:
    """`entries` are all records in the order in which they came; `changelogs` by stage and table."""

    codec: ByReference = field(default_factory=ByReference)
    entries: list[RawEvent] = field(default_factory=list)
    topics: defaultdict[TP, list[RawEvent]] = field(default_factory=lambda: defaultdict(list))
    changelogs: defaultdict[tuple[str, str], list[Put]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[tuple[str, TP], int] = field(default_factory=dict)

    def append(self, message: Message, at: float) -> RawEvent:
        """Keep a record."""
        tp = TP(message.topic, partition_of(message.key))
        lane = self.topics[tp]
        entry = RawEvent(tp, len(lane), at, message.key, message.value, message.headers)
        lane.append(entry)
        self.entries.append(entry)
        return entry

    def said(self, topic: Topic, kind: type[R]) -> Iterator[tuple[RawEvent, R]]:
        """What lies on a topic, in the order in which it came; what nobody can read is left out."""
        for entry in self.entries:
            if entry.tp.topic == PREFIX + topic.name and entry.value and entry.value.startswith(b"record "):
                yield entry, self.codec.decode(kind, entry.value)

    def record(self, entry: RawEvent) -> Record | None:
        """What the entry says; None for junk and for dead letters."""
        topic = BY_NAME.get(entry.tp.topic.removeprefix(PREFIX))
        if topic is None or not entry.value or not entry.value.startswith(b"record "):
            return None
        return self.codec.decode(topic.record, entry.value)


@lru_cache(maxsize=1000)
def partition_of(key: bytes | None) -> int:
    """The same key on the same partition of every topic, as every client has it."""
    return int(murmur2(key or b"") & 0x7FFFFFFF) % PARTITIONS
