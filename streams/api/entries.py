"""Where the entries of one table in one partition are kept: in memory here, or on disk (`streams/runtime/state`)."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from nightdesk.messaging import changelog
from nightdesk.messaging.producer import Message, Span

# One of the totals of a table: its name, and whole numbers that are summed over all entries.
Total = tuple[bytes, tuple[int, ...]]
# What an entry (its key and value) adds to the totals of its table. Raises `ValueError` for an unreadable value.
Adds = Callable[[bytes, bytes], Iterable[Total]]


class Entries(Protocol):
    """The entries of one table in one partition. All keys and values are bytes."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All entries."""

    def __len__(self) -> int: ...

    def expired(self, now: float) -> list[bytes]:
        """The keys that have expired at `now` (epoch seconds), the first ones if there are many. Each is returned once
        until it is written again.
        """

    def put(self, message: Message, entry: changelog.Entry) -> None:
        """Apply a write whose message is on its way to the changelog."""

    def acknowledged(self, messages: Sequence[Message], span: Span) -> None:
        """The broker has the messages of these writes; `span` is where."""

    def recover(self, key: bytes, entry: changelog.Entry) -> None:
        """Apply a record of the changelog, unless the key has one of a newer term."""

    def recovered_to(self, offset: int) -> None:
        """Everything before `offset` in the changelog is applied."""

    def newest_term(self) -> int:
        """The newest term of all records that were recovered; 0 for none."""

    def end_recovery(self) -> None:
        """The changelog is read: nothing older can come."""

    def clear(self) -> None:
        """Forget what is not certainly in the changelog."""

    def totals(self, first: bytes, end: bytes) -> Iterator[Total] | None:
        """The totals whose names lie from `first` up to `end`, in no order; None if none are kept here. A total that is
        zero is not there.
        """


class MemoryEntries:
    """In memory: empty at first, and filled from the whole changelog."""

    def __init__(self) -> None:
        self._entries: dict[bytes, bytes] = {}
        self._terms: dict[bytes, int] = {}
        # When each entry expires, soonest first. A time whose entry was written again or deleted is ignored.
        self._expiries: list[tuple[float, bytes]] = []
        self._expires_at: dict[bytes, float] = {}

    def get(self, key: bytes) -> bytes | None:
        return self._entries.get(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)

    def expired(self, now: float) -> list[bytes]:
        over = []
        while self._expiries and self._expiries[0][0] <= now:
            until, key = heapq.heappop(self._expiries)
            if self._expires_at.get(key) == until:
                del self._expires_at[key]  # or an entry that was written twice would be given twice
                over.append(key)
        return over

    def put(self, message: Message, entry: changelog.Entry) -> None:
        assert message.key is not None, "every entry has a key"
        self._apply(message.key, entry)

    def acknowledged(self, messages: Sequence[Message], span: Span) -> None:
        """Nothing: the entries are here already."""

    def recover(self, key: bytes, entry: changelog.Entry) -> None:
        if entry.term >= self._terms.get(key, 0):
            self._terms[key] = entry.term
            self._apply(key, entry)

    def recovered_to(self, offset: int) -> None:
        """Nothing: the next process reads everything."""

    def newest_term(self) -> int:
        return max(self._terms.values(), default=0)

    def end_recovery(self) -> None:
        self._terms.clear()

    def clear(self) -> None:
        self.__init__()  # type: ignore[misc]  # it is like new

    def totals(self, first: bytes, end: bytes) -> None:
        """None: whoever needs them reads all entries, which are in memory."""

    def _apply(self, key: bytes, entry: changelog.Entry) -> None:
        if entry.value is None:
            self._entries.pop(key, None)
            self._expires_at.pop(key, None)
            return
        # orjson's result keeps its buffer of 4 to 8 kB; the copy is only as long as the value.
        self._entries[key] = bytes(memoryview(entry.value))
        if entry.expires_at:
            self._expires_at[key] = entry.expires_at
            heapq.heappush(self._expiries, (entry.expires_at, key))
        else:
            self._expires_at.pop(key, None)
