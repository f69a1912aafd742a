"""The entries of one table in one partition on disk, with the changelog offset up to which they are complete.

A write waits in memory until the broker has acknowledged it; then it is stored together with its offset, in one batch.
So the store is never ahead of the changelog, and a start reads the changelog only from that offset. A stored entry is
the changelog's value, with its term. A deleted one keeps its term for a day, so that a late write of a former owner
does not bring it back.

Beside the entries lie an index of their expiries in the order of time, and the table's totals (`totals.py`).
"""

import logging
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from nightdesk.messaging import changelog
from nightdesk.messaging.producer import Message, Span
from nightdesk.streams.api.entries import Adds, Total
from nightdesk.streams.runtime.state.database import Change, Database, after
from nightdesk.streams.runtime.state.stored_form import Identity, Progress, stored_form, term_of, until_of, value_of
from nightdesk.streams.runtime.state.totals import Replaced, Totals

log = logging.getLogger(__name__)

# In one tick; the others follow in the next ticks.
EXPIRED_AT_MOST = 1000
# So many groups are acknowledged behind a gap before it is taken for records of another process.
GROUPS_AHEAD = 100
_TIME = struct.Struct(">d")
_NEVER = float("inf")


class _Pending(NamedTuple):
    """A write that the broker has not acknowledged yet, and what is stored under its key."""

    message: Message
    entry: changelog.Entry
    stored: bytes | None


@dataclass(slots=True)
class _Replacement:
    """What a key will have and what it has."""

    after: bytes
    before: bytes | None


class DiskEntries:
    """One table of one partition in the database of the partition."""

    def __init__(self, database: Database, table: str, identity: Identity, adds: Adds | None = None) -> None:
        name = table.encode() + b"\0"
        self._database = database
        self._entry, self._index, self._about = b"e" + name, b"t" + name, b"p" + name
        self._totals = None if adds is None else Totals(database, b"s" + name, adds)
        self._pending: dict[bytes, _Pending] = {}
        self._recovering: dict[bytes, _Replacement] = {}
        self._given: dict[bytes, float] = {}
        self._next_expiry = 0.0
        # Where what was acknowledged behind a gap begins and ends.
        self._ahead: dict[int, int] = {}
        self._stands_still = False
        known = database.get(self._about)
        self.progress = Progress(identity=identity) if known is None else Progress.model_validate_json(known)
        self._count = self.progress.count

    # -- read

    def get(self, key: bytes) -> bytes | None:
        pending = self._pending.get(key)
        if pending is not None:
            return pending.entry.value
        return value_of(self._database.get(self._entry + key))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        for place, stored in self._database.items(self._entry, after(self._entry)):
            key = place[len(self._entry) :]
            value = value_of(stored) if key not in self._pending else None
            if value is not None:
                yield key, value
        for key, pending in self._pending.items():
            if pending.entry.value is not None:
                yield key, pending.entry.value

    def __len__(self) -> int:
        return self._count

    def totals(self, first: bytes, end: bytes) -> Iterator[Total] | None:
        if self._totals is None:
            return None
        pending = (Replaced(key, value_of(one.stored), one.entry.value) for key, one in self._pending.items())
        return self._totals.items(first, end, pending)

    def expired(self, now: float) -> list[bytes]:
        if now < self._next_expiry:
            return []
        return list(islice(self._expired(now), EXPIRED_AT_MOST))

    def _expired(self, now: float) -> Iterator[bytes]:
        """Nothing changes the store while this runs, except the deletion of what is deleted already."""
        forgotten: list[Change] = []
        for place, _ in self._database.items(self._index, after(self._index)):
            until, key = _TIME.unpack_from(place, len(self._index))[0], place[len(self._index) + _TIME.size :]
            if until > now:
                self._next_expiry = until
                break
            if key in self._pending or self._given.get(key) == until:
                continue
            if value_of(self._database.get(self._entry + key)) is None:
                forgotten += [(place, None), (self._entry + key, None)]
                continue
            self._given[key] = until
            yield key
        else:
            self._next_expiry = _NEVER
        if self._given:
            self._next_expiry = min(self._next_expiry, now)
        self._database.write(forgotten)

    # -- write

    def put(self, message: Message, entry: changelog.Entry) -> None:
        key = message.key
        assert key is not None, "every entry has a key"
        earlier = self._pending.get(key)
        stored = self._database.get(self._entry + key) if earlier is None else earlier.stored
        before = value_of(stored) if earlier is None else earlier.entry.value
        self._count += (entry.value is not None) - (before is not None)
        self._pending[key] = _Pending(message, entry, stored)
        self._given.pop(key, None)

    def acknowledged(self, messages: Sequence[Message], span: Span) -> None:
        replaced: dict[bytes, _Replacement] = {}
        for message in messages:
            key = message.key
            assert key is not None, "every entry has a key"
            pending = self._pending.get(key)
            if pending is None:
                continue  # the partition was taken from us, and came back
            stored = stored_form(changelog.decode(message.value, message.headers))
            earlier = replaced.get(key)  # of the same batch: what it replaced is what lies on disk
            replaced[key] = _Replacement(stored, pending.stored if earlier is None else earlier.before)
            if pending.message is message:
                del self._pending[key]
            else:
                self._pending[key] = pending._replace(stored=stored)
        self._store(replaced, self._followed_to(span))

    def _followed_to(self, span: Span) -> int:
        """The offset before which everything is ours and acknowledged. Two groups are on their way at once, and the
        later one may be acknowledged first. If records of somebody else lie between, a former owner's late ones, the
        offset stands still, and the next start reads from there again.
        """
        if span.is_whole and not self._stands_still:
            self._ahead[span.first] = span.last + 1
        offset = self.progress.offset
        while (following := self._ahead.pop(offset, None)) is not None:
            offset = following
        if len(self._ahead) > GROUPS_AHEAD:
            log.warning("a changelog has records of another process at %d: the next start reads on there", offset)
            self._ahead.clear()
            self._stands_still = True
        return offset

    # -- recover

    def recover(self, key: bytes, entry: changelog.Entry) -> None:
        known = self._recovering.get(key)
        before = self._database.get(self._entry + key) if known is None else known.before
        newest = before if known is None else known.after
        if newest is None or entry.term >= term_of(newest):
            self._recovering[key] = _Replacement(stored_form(entry), before)

    def recovered_to(self, offset: int) -> None:
        recovered, self._recovering = self._recovering, {}
        self._store(recovered, offset)
        self._count = self.progress.count

    def newest_term(self) -> int:
        return self.progress.newest_term

    def end_recovery(self) -> None:
        """Nothing: terms are in the entries."""

    def clear(self) -> None:
        self._pending.clear()
        self._recovering.clear()
        self._given.clear()
        self._ahead.clear()
        self._stands_still = False
        self._next_expiry, self._count = 0.0, self.progress.count

    def throw_away(self) -> None:
        """Begin again without entries."""
        identity = self.progress.identity
        for prefix in (self._entry, self._index, self._about):
            self._database.delete_all(prefix, after(prefix))
        if self._totals is not None:
            self._totals.throw_away()
        self.progress = Progress(identity=identity)
        self.clear()

    def begin(self, identity: Identity) -> None:
        """The entries belong to this from now on."""
        self.progress = self.progress.model_copy(update={"identity": identity})

    def _store(self, replaced: dict[bytes, _Replacement], offset: int) -> None:
        """Store entries and the offset, at once."""
        changes: list[Change] = []
        count, newest = self.progress.count, self.progress.newest_term
        for key, replacement in replaced.items():
            old, new = replacement.before, replacement.after
            count += (value_of(new) is not None) - (value_of(old) is not None)
            newest = max(newest, term_of(new))
            if old is not None and (until := until_of(old)):
                changes.append((self._index_key(until, key), None))
            if until := until_of(new):
                changes.append((self._index_key(until, key), b""))
                self._next_expiry = min(self._next_expiry, until)
            changes.append((self._entry + key, new))
        if self._totals is not None:
            values = (Replaced(key, value_of(one.before), value_of(one.after)) for key, one in replaced.items())
            changes += self._totals.changes(values)
        self.progress = Progress(
            identity=self.progress.identity, offset=offset, newest_term=newest, count=count, written_at=time.time()
        )
        changes.append((self._about, self.progress.model_dump_json().encode()))
        self._database.write(changes)

    def _index_key(self, until: float, key: bytes) -> bytes:
        return self._index + _TIME.pack(until) + key
