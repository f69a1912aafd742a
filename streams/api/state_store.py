"""The state of one table: bytes by partition and key, each entry with its expiry and the term that wrote it.

Pure: the owner of a store passes its changelog to `recover` and sends what `write` returns. A write or deletion by a
process that has lost the partition has an older term, and recovery ignores it.

A term begins when a partition is assigned. It is the wall clock in milliseconds, pushed over every term in the
changelog: not the group's generation, which starts again at 1 when somebody deletes the group.

Entries are in memory unless the owner keeps a partition elsewhere (`keep_in`).
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from nightdesk.messaging import changelog
from nightdesk.messaging.producer import Message, Span
from nightdesk.streams.api.entries import Adds, Entries, MemoryEntries, Total

# A slice of this size takes a few milliseconds.
SLICE_ENTRIES = 500


class Put(NamedTuple):
    """An entry to write; `value` None deletes it. `expires_at` is epoch seconds, 0 for never."""

    store: "StateStore"
    partition: int
    key: bytes
    value: bytes | None
    expires_at: float


class StateStore:
    """`key -> value` for each partition that this process owns."""

    def __init__(self, name: str, adds: Adds | None = None) -> None:
        """`adds` says what each entry adds to the totals."""
        self.name = name
        self.adds = adds
        self.changelog_topic = f"{name}-changelog"
        self._partitions: dict[int, Entries] = {}
        self._terms: dict[int, int] = {}

    # -- read

    def get(self, partition: int, key: str) -> bytes | None:
        """The value, or None."""
        entries = self._partitions.get(partition)
        return None if entries is None else entries.get(key.encode())

    def items(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """All entries of a partition. Nothing may be written before the iterator has ended."""
        entries = self._partitions.get(partition)
        return iter(()) if entries is None else entries.items()

    def count(self, partition: int) -> int:
        """How many entries a partition has."""
        entries = self._partitions.get(partition)
        return 0 if entries is None else len(entries)

    def partitions(self) -> list[int]:
        """Partitions with any entry."""
        return [partition for partition, entries in self._partitions.items() if len(entries)]

    def slices(self, only: int | None = None) -> Iterator[list[tuple[int, bytes, bytes]]]:
        """All entries, or those of one partition, as (partition, key, value), some hundred at a time: between two
        slices the loop gets a turn.
        """
        for partition, entries in list(self._partitions.items()):
            held = entries.items() if only in (None, partition) else iter(())
            while some := [(partition, key, value) for key, value in islice(held, SLICE_ENTRIES)]:
                yield some

    def totals(self, partition: int, first: bytes, end: bytes) -> Iterator[Total] | None:
        """The totals whose names lie from `first` up to `end`, in no order; None if they are not kept. Nothing may be
        written before the iterator has ended.
        """
        entries = self._partitions.get(partition)
        return None if entries is None else entries.totals(first, end)

    def held_partitions(self) -> list[int]:
        """Partitions that have a place for entries, with or without any."""
        return list(self._partitions)

    def expired(self, partition: int, now: float) -> list[bytes]:
        """The keys that have expired at `now` (epoch seconds), the first ones if there are many. Each is returned once:
        delete its entry or write it again.
        """
        entries = self._partitions.get(partition)
        return [] if entries is None else entries.expired(now)

    def __len__(self) -> int:
        return sum(map(len, self._partitions.values()))

    def __bool__(self) -> bool:
        return True

    # -- write

    def write(self, put: Put) -> Message:
        """Apply the write here and return the changelog message that makes it durable. Raises `KeyError` for a
        partition whose term has not begun.
        """
        entry = changelog.Entry(self._terms[put.partition], put.expires_at, put.value)
        value, headers = changelog.encode(entry)
        message = Message(self.changelog_topic, put.key, value, headers, put.partition)
        self._entries(put.partition).put(message, entry)
        return message

    def acknowledged(self, partition: int, messages: Sequence[Message], span: Span) -> None:
        """The broker has these messages of `write`; `span` is where in the changelog."""
        entries = self._partitions.get(partition)
        if entries is not None:  # or the partition was taken from us meanwhile
            entries.acknowledged(messages, span)

    # -- recover

    def clear(self) -> None:
        """Forget everything, because what was written but never durable must not survive a rebalance."""
        for entries in self._partitions.values():
            entries.clear()
        self._partitions.clear()
        self._terms.clear()

    def keep_in(self, partition: int, entries: Entries) -> None:
        """Keep the entries of a partition here, before its changelog is read."""
        self._partitions[partition] = entries

    def recover(self, partition: int, key: bytes | None, value: bytes | None, headers: changelog.AnyHeaders) -> None:
        """Apply one changelog record, in the order of the log. A record without a key is not ours."""
        if key is not None:
            self._entries(partition).recover(key, changelog.decode(value, headers))

    def recovered_to(self, partition: int, offset: int) -> None:
        """Every changelog record before `offset` is applied."""
        self._entries(partition).recovered_to(offset)

    def begin_term(self, partition: int, now_ms: int) -> None:
        """Begin our term, after the partition's changelog was read: from now on `write` may be called."""
        self._terms[partition] = max(now_ms, self._entries(partition).newest_term() + 1)

    def end_recovery(self) -> None:
        """Release what was needed to judge old writes, after every partition's term has begun."""
        for entries in self._partitions.values():
            entries.end_recovery()

    def is_recovered(self, partition: int) -> bool:
        """Whether the partition's changelog is read and our term has begun. Before that nothing can be written."""
        return partition in self._terms

    def _entries(self, partition: int) -> Entries:
        entries = self._partitions.get(partition)
        if entries is None:
            entries = self._partitions[partition] = MemoryEntries()
        return entries
