"""A state store that Faust places and recovers. Built by the stage worker, one for each table.

Two things are ours: a write goes out through our producer (`committer.py`), so that it can be waited for; and on a
rebalance everything is read again from the changelog, or from where the local state ends (`local_state.py`).
"""

import time
from collections.abc import Iterable
from typing import Any

import faust
from faust.types import TP, EventT

from nightdesk.streams.api.state_store import StateStore
from nightdesk.streams.runtime.state.local_state import LocalState


class FaustTable(faust.Table[bytes, bytes]):
    """Fills `store` from its changelog."""

    def __init__(self, app: faust.App, store: StateStore, *, partitions: int, local: LocalState | None = None) -> None:
        super().__init__(app, name=store.name, key_type=bytes, value_type=bytes, partitions=partitions)
        self.store = store
        self._local = local
        store.changelog_topic = str(self._changelog_topic_name())

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Recovery: Faust passes the changelog in order."""
        ends: dict[int, int] = {}
        for event in batch:
            message = event.message
            self.store.recover(message.partition, message.key, message.value, message.headers)
            ends[message.partition] = message.offset + 1
        for partition, end in ends.items():
            self.store.recovered_to(partition, end)

    def persisted_offset(self, tp: TP) -> int | None:
        """The last offset that need not be read. Faust asks for it after `on_rebalance`."""
        offset = None if self._local is None else self._local.offset(tp.topic, tp.partition)
        return None if offset is None else offset - 1

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget everything that is not on disk, and make Faust read the changelog from there."""
        self.store.clear()
        if self._local is not None:
            changelogs = self.app.assignor.assigned_actives()  # `assigned` may lack them
            ours = {tp.partition for tp in changelogs if tp.topic == self.store.changelog_topic}
            await self._local.prepare(self.store, ours)
        self.app.tables.recovery.active_offsets.clear()  # type: ignore[attr-defined]  # Faust's type of it is incomplete
        await super().on_rebalance(assigned, revoked, newly_assigned, generation_id)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Start this process's term on each partition."""
        for tp in active_tps:
            self.store.begin_term(tp.partition, int(time.time() * 1000))
        self.store.end_recovery()
        await super().on_recovery_completed(active_tps, standby_tps)

    def __len__(self) -> int:
        return len(self.store)

    def __bool__(self) -> bool:
        return True
