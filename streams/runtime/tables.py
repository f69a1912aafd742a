"""Faust tables that hold facts: bytes by key, kept with their partition, expiry and the generation that wrote them.

Called by stages to read, by the committer to write. Faust recovers and places them; three things are ours:

* a write names its partition and goes out through our producer, so that the committer can wait for it;
* on a rebalance everything is read again from the changelog: what was in memory but never durable must not survive;
* a late write of a process that lost the partition carries an older term and is passed over in recovery.

A term begins when a partition is assigned. It is the wall clock in milliseconds, pushed over every term in the
changelog: not the group's generation, which starts again at 1 when somebody deletes the group.
"""

import heapq
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import faust
from faust.types import TP, EventT

from streams.runtime.changes import Put
from streams.runtime.producer import Message

# term (ms), expires_at (epoch seconds, 0 never)
ENVELOPE = struct.Struct(">Qd")


class FactTable(faust.Table[bytes, bytes]):
    """`key -> fact` for each partition that this process owns."""

    def __init__(self, app: faust.App, *, name: str, partitions: int) -> None:
        super().__init__(app, name=name, key_type=bytes, value_type=bytes, partitions=partitions)
        self._facts: dict[int, dict[bytes, bytes]] = {}
        self._terms: dict[int, int] = {}
        self._recovered_terms: dict[tuple[int, bytes], int] = {}
        # When each fact's time is over, soonest first; an entry whose fact was renewed or forgotten is passed over.
        self._expiries: dict[int, list[tuple[float, bytes]]] = {}
        self._expires_at: dict[tuple[int, bytes], float] = {}
        self._changelog_name = str(self._changelog_topic_name())

    def read(self, partition: int, key: str) -> bytes | None:
        """The fact, or None."""
        return self._facts.get(partition, {}).get(key.encode())

    def facts(self, partition: int) -> Mapping[bytes, bytes]:
        """All facts of a partition."""
        return self._facts.get(partition, {})

    def partitions_held(self) -> Iterator[int]:
        """Partitions with any fact."""
        yield from list(self._facts)

    def is_recovered(self, partition: int) -> bool:
        """Whether the facts of the partition are read and our term has begun: before that nothing can be written."""
        return partition in self._terms

    def expired(self, partition: int, now: float) -> list[bytes]:
        """Keys whose time is over. Each is given once: forget it."""
        waiting, over = self._expiries.get(partition, []), []
        while waiting and waiting[0][0] <= now:
            until, key = heapq.heappop(waiting)
            if self._expires_at.get((partition, key)) == until:
                over.append(key)
        return over

    def write(self, put: Put) -> Message:
        """Apply in memory; gives the changelog message that makes it durable."""
        self._apply(put.partition, put.key, put.value, put.expires_at)
        value = None if put.value is None else ENVELOPE.pack(self._terms[put.partition], put.expires_at) + put.value
        return Message(self._changelog_name, put.key, value, partition=put.partition)

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Recovery: Faust hands the changelog over in order."""
        for event in batch:
            message = event.message
            self._recover(message.partition, message.key, message.value)

    def _recover(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        if key is None:
            return  # no write of ours
        if value is None:
            self._apply(partition, key, None, 0.0)
            self._recovered_terms.pop((partition, key), None)
            return
        term, expires_at = ENVELOPE.unpack_from(value)
        if term < self._recovered_terms.get((partition, key), 0):
            return
        self._recovered_terms[partition, key] = term
        self._apply(partition, key, value[ENVELOPE.size :], expires_at)

    def _apply(self, partition: int, key: bytes, value: bytes | None, expires_at: float) -> None:
        if value is None:
            self._facts.get(partition, {}).pop(key, None)
            self._expires_at.pop((partition, key), None)
            return
        self._facts.setdefault(partition, {})[key] = value
        if expires_at:
            self._expires_at[partition, key] = expires_at
            heapq.heappush(self._expiries.setdefault(partition, []), (expires_at, key))
        else:
            self._expires_at.pop((partition, key), None)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget everything and make Faust read the whole changelog again."""
        self._facts.clear()
        self._expiries.clear()
        self._expires_at.clear()
        self._terms.clear()
        self._recovered_terms.clear()
        self.app.tables.recovery.active_offsets.clear()  # type: ignore[attr-defined]  # Faust's type of it is incomplete
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Begin this process's term on each partition."""
        for tp in active_tps:
            self._terms[tp.partition] = self._next_term(tp.partition)
        self._recovered_terms.clear()
        await super().on_recovery_completed(active_tps, standby_tps)

    def _next_term(self, partition: int) -> int:
        seen = (term for (part, _), term in self._recovered_terms.items() if part == partition)
        return max(int(time.time() * 1000), max(seen, default=0) + 1)

    def __len__(self) -> int:
        return sum(len(facts) for facts in self._facts.values())

    def __bool__(self) -> bool:
        return True
