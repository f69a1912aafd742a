"""Everything that survives a process: the topics, the changelogs of the tables, and the committed offsets.

Processes append to it and start from it; `checks.py` reads it from outside.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar, cast

from faust.types import TP

from nightdesk.messaging import partitions
from nightdesk.messaging.producer import Message
from nightdesk.schemas.codec import Codec, Undecodable
from nightdesk.schemas.records import Record
from nightdesk.schemas.topics import BY_NAME, INGEST, Topic
from nightdesk.streams.api.state_store import Put
from nightdesk.streams.runtime.handling.delivery import RawEvent

R = TypeVar("R", bound=Record)
PARTITIONS = 2
PREFIX = "t."


class ByReference(Codec):
    """Records as references. They are frozen, so the same object on both sides is as good as a copy and ten times as
    fast; Avro has tests of its own.
    """

    def __init__(self) -> None:
        self._records: list[Record] = []

    def encode(self, record: Record) -> bytes:
        self._records.append(record)
        return b"record %d" % (len(self._records) - 1)

    def audit_kind(self, payload: bytes | None) -> None:
        """A reference has to be followed first."""

    def decode(self, kind: type[R], payload: bytes | None) -> R:
        if payload is None or not payload.startswith(b"record "):
            raise Undecodable(f"{payload!r} is no {kind.__name__}")
        return cast(R, self._records[int(payload[7:])])


@dataclass(slots=True)
class Log:
    """`entries` are all records in order; `changelogs` are by stage and table."""

    codec: Codec = field(default_factory=ByReference)
    entries: list[RawEvent] = field(default_factory=list)
    topics: defaultdict[TP, list[RawEvent]] = field(default_factory=lambda: defaultdict(list))
    changelogs: defaultdict[tuple[str, str], list[Put]] = field(default_factory=lambda: defaultdict(list))
    committed: dict[tuple[str, TP], int] = field(default_factory=dict)

    def append(self, message: Message, at: float) -> RawEvent:
        """Append a record."""
        forced = message.partition >= 0 and message.topic == PREFIX + INGEST.name
        tp = TP(message.topic, message.partition if forced else partition_of(message.key))
        lane = self.topics[tp]
        entry = RawEvent(tp, len(lane), at, message.key, message.value, message.headers, is_broker_time=True)
        lane.append(entry)
        self.entries.append(entry)
        return entry

    def said(self, topic: Topic, kind: type[R]) -> Iterator[tuple[RawEvent, R]]:
        """The records of a topic in order, without those that nobody can read."""
        for entry in self.entries:
            if entry.tp.topic == PREFIX + topic.name:
                with suppress(Undecodable):
                    yield entry, self.codec.decode(kind, entry.value)

    def record(self, entry: RawEvent) -> Record | None:
        """The record of the entry; None for junk and for dead letters."""
        topic = BY_NAME.get(entry.tp.topic.removeprefix(PREFIX))
        if topic is None:
            return None
        try:
            return self.codec.decode(topic.record, entry.value)
        except Undecodable:
            return None


def partition_of(key: bytes | None) -> int:
    """The same key is on the same partition of every topic, as for every client."""
    return partitions.partition_of(key or b"", PARTITIONS)
