"""The hash chain of a partition, which proves that the rows of the audit are those that the sink wrote.

Each value of the chain is a digest of the one before it and of one record: its offset, id and digest. At every 1,024th
offset the sink stores the value in ClickHouse (`audit_links`), and with each commit it stores the last value in Kafka,
as the metadata of the committed offset. So a person who can only write to ClickHouse cannot make a chain that fits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from confluent_kafka import TopicPartition

from nightdesk.sinks.audit.committed import chain_value
from nightdesk.sinks.audit.table import AuditTable, InsertSlice, Link, PlacedRecord

# The offsets between two links. With a smaller number a fault is located more exactly, and there are more rows.
OFFSETS_PER_LINK = 1024
BEGINNING = "0" * 64


class NotShown(OSError):
    """ClickHouse does not show records that it has stored, because another replica answers that does not have them yet.
    A chain without them would be broken forever, so this counts as an outage, and the batch is read again.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"ClickHouse does not show {number} of the records that it has stored: a replica is behind")


@dataclass(frozen=True, slots=True)
class Head:
    """The value of a chain after the last record before `offset`."""

    offset: int
    value: str


def extended(head: Head, record: PlacedRecord) -> Head:
    """The chain with one more record, whose offset is at least that of the head."""
    content = f"{head.value}:{record.offset}:{record.record_id}:".encode() + record.digest
    return Head(record.offset + 1, hashlib.sha256(content).hexdigest())


def links(head: Head, records: Iterable[PlacedRecord]) -> Iterator[tuple[Head, bool]]:
    """Yields the chain after each record, and each link before the record that follows it. The second value says
    whether it is a link.
    """
    for record in records:
        number = record.offset // OFFSETS_PER_LINK
        if number > (head.offset - 1) // OFFSETS_PER_LINK:
            yield Head(number * OFFSETS_PER_LINK, head.value), True
        head = extended(head, record)
        yield head, False


class Chains:
    """The chains of a sink's partitions. A chain continues from its value in Kafka, or begins."""

    def __init__(self, table: AuditTable) -> None:
        self._table = table
        self._heads: dict[int, Head] = {}

    def resume(self, committed: Iterable[TopicPartition]) -> None:
        """Continue each chain after the committed offset of its partition, with the value in the commit's metadata."""
        heads = {place.partition: Head(place.offset, chain_value(place)) for place in committed}
        self._heads = {number: head for number, head in heads.items() if head.value}

    def extend(self, slices: Sequence[InsertSlice]) -> None:
        """Add the records that were stored. Raises `connection.ANY_FAILURE`, of which `NotShown` is one. Then it may
        have added some records, and can be called again with the same slices.
        """
        for one in slices:
            new: list[Link] = []
            head = self._heads.get(one.partition)
            if head is None:
                head = Head(one.offsets[0], BEGINNING)
                new.append(Link(one.topic, one.incarnation, one.partition, head.offset, head.value))
            for value, is_link in links(head, self._placed(one, head.offset)):
                if is_link:
                    new.append(Link(one.topic, one.incarnation, one.partition, value.offset, value.value))
                else:
                    head = value
            if new:
                self._table.insert_links(new)
            self._heads[one.partition] = head

    def value(self, partition: int) -> str:
        """The value of the partition's chain, which goes into the commit; empty if the chain has not begun."""
        return self._heads[partition].value if partition in self._heads else ""

    def _placed(self, one: InsertSlice, first: int) -> list[PlacedRecord]:
        """The records from `first` on, as ClickHouse has them. It leaves out rows at these offsets that have other
        record ids.
        """
        pairs = zip(one.offsets, one.records, strict=True)
        own = {offset: record.record_id for offset, record in pairs if offset >= first}
        found = [record for record in self._table.placed(one) if own.get(record.offset) == record.record_id]
        if len(found) < len(own):
            raise NotShown(len(own) - len(found))
        return found
