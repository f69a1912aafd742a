"""The totals of one table in one partition on disk: sums over its entries, so that a start need not read all of them.

What an entry adds is computed when it is stored and subtracted when it is replaced or deleted, in the same batch as the
entry. So the totals have exactly what the stored entries have. An index is a total, too: each entry adds 1 under a name
by which it is looked for.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from nightdesk.streams.api.entries import Adds, Total
from nightdesk.streams.runtime.state.database import Change, Database, after


class Replaced(NamedTuple):
    """An entry, and its values before and after; None if there is none."""

    key: bytes
    before: bytes | None
    after: bytes | None


class Totals:
    """The totals in the database of the partition. `prefix` ends with a zero byte."""

    def __init__(self, database: Database, prefix: bytes, adds: Adds) -> None:
        self._database = database
        self._prefix = prefix
        self._adds = adds

    def changes(self, replaced: Iterable[Replaced]) -> list[Change]:
        """What has to be stored with these entries."""
        changes: list[Change] = []
        for name, amounts in self._differences(replaced).items():
            if any(amounts):
                place = self._prefix + name
                total = _sum(_unpacked(self._database.get(place)), amounts)
                changes.append((place, _packed(total) if any(total) else None))
        return changes

    def items(self, first: bytes, end: bytes, unstored: Iterable[Replaced]) -> Iterator[Total]:
        """The totals from `first` up to `end`, with the entries that are not stored yet."""
        more = {name: some for name, some in self._differences(unstored).items() if first <= name < end}
        for place, stored in self._database.items(self._prefix + first, self._prefix + end):
            name = place[len(self._prefix) :]
            total = _sum(_unpacked(stored), more.pop(name, ()))
            if any(total):
                yield name, total
        yield from ((name, amounts) for name, amounts in more.items() if any(amounts))

    def throw_away(self) -> None:
        """Begin again without totals."""
        self._database.delete_all(self._prefix, after(self._prefix))

    def _differences(self, replaced: Iterable[Replaced]) -> dict[bytes, tuple[int, ...]]:
        found: dict[bytes, tuple[int, ...]] = {}
        for key, old, new in replaced:
            for sign, value in ((-1, old), (+1, new)):
                for name, amounts in self._added(key, value):
                    found[name] = _sum(found.get(name, ()), tuple(sign * amount for amount in amounts))
        return found

    def _added(self, key: bytes, value: bytes | None) -> Iterable[Total]:
        """Ends the process at a value that cannot be read: Faust would go on without it."""
        try:
            return () if value is None else tuple(self._adds(key, value))
        except ValueError as error:
            self._database.refuse(f"the entry {key!r} cannot be read: {error}")


def _sum(some: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    if not some or not more:
        return some or more
    return tuple(one + other for one, other in zip(some, more, strict=True))


def _packed(total: tuple[int, ...]) -> bytes:
    return struct.pack(f">{len(total)}q", *total)


def _unpacked(stored: bytes | None) -> tuple[int, ...]:
    return () if stored is None else struct.unpack(f">{len(stored) // 8}q", stored)
