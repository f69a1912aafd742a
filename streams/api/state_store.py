"""The state of one table, in memory: bytes by partition and key, each entry with its expiry and the term that wrote it.

Pure: the owner of a store passes its changelog to `recover` and sends what `write` returns. A write or deletion by a
process that has lost the partition has an older term, and recovery ignores it.

A term begins when a partition is assigned. It is the wall clock in milliseconds, pushed over every term in the
changelog: not the group's generation, which starts again at 1 when somebody deletes the group.
"""

import heapq
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from nightdesk.messaging import changelog
from nightdesk.messaging.producer import Message

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

    def __init__(self, name: str) -> None:
        self.name = name
        self.changelog_topic = f"{name}-changelog"
        self._entries: dict[int, dict[bytes, bytes]] = {}
        self._terms: dict[int, int] = {}
        self._recovered_terms: dict[tuple[int, bytes], int] = {}
        # When each entry expires, soonest first. A time whose entry was written again or deleted is ignored.
        self._expiries: dict[int, list[tuple[float, bytes]]] = {}
        self._expires_at: dict[tuple[int, bytes], float] = {}

    # -- read

    def get(self, partition: int, key: str) -> bytes | None:
        """The value, or None."""
        return self._entries.get(partition, {}).get(key.encode())

    def entries(self, partition: int) -> Mapping[bytes, bytes]:
        """All entries of a partition."""
        return self._entries.get(partition, {})

    def partitions(self) -> list[int]:
        """Partitions with any entry."""
        return list(self._entries)

    def slices(self) -> Iterator[list[tuple[int, bytes, bytes]]]:
        """All entries as (partition, key, value), some hundred at a time: between two slices the loop gets a turn."""
        for partition, entries in list(self._entries.items()):
            held = iter(entries.items())
            while some := [(partition, key, value) for key, value in islice(held, SLICE_ENTRIES)]:
                yield some

    def expired(self, partition: int, now: float) -> list[bytes]:
        """The keys that have expired at `now` (epoch seconds). Each is returned once: delete its entry or write it
        again.
        """
        waiting, over = self._expiries.get(partition, []), []
        while waiting and waiting[0][0] <= now:
            until, key = heapq.heappop(waiting)
            if self._expires_at.get((partition, key)) == until:
                del self._expires_at[partition, key]  # or an entry that was written twice would be given twice
                over.append(key)
        return over

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._entries.values())

    def __bool__(self) -> bool:
        return True

    # -- write

    def write(self, put: Put) -> Message:
        """Apply in memory and return the changelog message that makes the write durable. Raises `KeyError` for a
        partition whose term has not begun.
        """
        value, headers = changelog.encode(changelog.Entry(self._terms[put.partition], put.expires_at, put.value))
        self._apply(put.partition, put.key, put.value, put.expires_at)
        return Message(self.changelog_topic, put.key, value, headers, put.partition)

    # -- recover

    def clear(self) -> None:
        """Forget everything, because what was in memory but never durable must not survive a rebalance."""
        self._entries.clear()
        self._expiries.clear()
        self._expires_at.clear()
        self._terms.clear()
        self._recovered_terms.clear()

    def recover(self, partition: int, key: bytes | None, value: bytes | None, headers: changelog.AnyHeaders) -> None:
        """Apply one changelog record, in the order of the log. A record without a key is not ours."""
        if key is None:
            return
        entry = changelog.decode(value, headers)
        if entry.term < self._recovered_terms.get((partition, key), 0):
            return
        self._recovered_terms[partition, key] = entry.term
        self._apply(partition, key, entry.value, entry.expires_at)

    def begin_term(self, partition: int, now_ms: int) -> None:
        """Begin our term, after the partition's changelog was read: from now on `write` may be called."""
        self._terms[partition] = max(now_ms, self._newest_term(partition) + 1)

    def end_recovery(self) -> None:
        """Release what was needed to judge old writes, after every partition's term has begun."""
        self._recovered_terms.clear()

    def is_recovered(self, partition: int) -> bool:
        """Whether the partition's changelog is read and our term has begun. Before that nothing can be written."""
        return partition in self._terms

    def _newest_term(self, partition: int) -> int:
        return max((term for (part, _), term in self._recovered_terms.items() if part == partition), default=0)

    def _apply(self, partition: int, key: bytes, value: bytes | None, expires_at: float) -> None:
        if value is None:
            self._entries.get(partition, {}).pop(key, None)
            self._expires_at.pop((partition, key), None)
            return
        # orjson's result keeps its buffer of 4 to 8 kB; the copy is only as long as the value.
        self._entries.setdefault(partition, {})[key] = bytes(memoryview(value))
        if expires_at:
            self._expires_at[partition, key] = expires_at
            heapq.heappush(self._expiries.setdefault(partition, []), (expires_at, key))
        else:
            self._expires_at.pop((partition, key), None)
