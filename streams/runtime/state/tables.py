"""A state store that Faust places and recovers. Built by the stage worker, one for each table.

Two things are ours: a write goes out through our producer (`committer.py`), so that it can be waited for; and on a
rebalance everything is read again from the changelog.
"""

import time
from collections.abc import Iterable
from typing import Any

import faust
from faust.types import TP, EventT

from nightdesk.streams.api.state_store import StateStore


class FaustTable(faust.Table[bytes, bytes]):
    """Fills `store` from its changelog."""

    def __init__(self, app: faust.App, store: StateStore, *, partitions: int) -> None:
        super().__init__(app, name=store.name, key_type=bytes, value_type=bytes, partitions=partitions)
        self.store = store
        store.changelog_topic = str(self._changelog_topic_name())

    def apply_changelog_batch(self, batch: Iterable[EventT[Any]]) -> None:
        """Recovery: Faust passes the changelog in order."""
        for event in batch:
            message = event.message
            self.store.recover(message.partition, message.key, message.value, message.headers)

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget everything and make Faust read the whole changelog again."""
        self.store.clear()
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
