"""Which partitions a worker owns, and for which of them the tables are recovered."""

from collections.abc import Iterator, Sequence
from typing import Any

import faust

from nightdesk.streams.runtime.state.tables import FaustTable


class Ownership:
    """`topic` is the stage's first topic with its prefix: its other topics have the same partitions."""

    def __init__(self, app: faust.App, topic: str, tables: Sequence[FaustTable]) -> None:
        self._app = app
        self._topic = topic
        self._tables = tables

    @property
    def is_ready(self) -> bool:
        """Partitions are assigned and tables recovered."""
        app = self._app
        recovered = not app.rebalancing and app.tables.recovery.completed.is_set()  # type: ignore[attr-defined]  # Faust's type of it is incomplete
        if not (app.started and recovered and app.consumer.assignment()):
            return False
        # Faust reports the end of a rebalance even if another has started meanwhile.
        return all(map(self._is_recovered, self.partitions()))

    def why_not_ready(self) -> str:
        """Empty if it is ready."""
        if self.is_ready:
            return ""
        left = self.records_left()
        return f"not ready: {left} records of its tables are left to read" if left else "not ready: no partitions yet"

    def records_left(self) -> int:
        """How many changelog records are left to read until the tables are recovered. Faust's own count leaves out the
        partitions of which no record came yet.
        """
        recovery: Any = self._app.tables.recovery  # type: ignore[attr-defined]  # Faust's type of it is incomplete
        if not recovery.in_recovery:
            return 0
        offsets, last = recovery.active_offsets, recovery.active_highwaters
        # Faust has None where it does not know an offset yet.
        read = {tp: -1 if offsets.get(tp) is None else offsets[tp] for tp in last}
        return sum(max(0, end - read[tp]) for tp, end in last.items() if end is not None)

    def partitions(self) -> set[int]:
        """The partitions that are assigned to this process."""
        return {tp.partition for tp in self._app.consumer.assignment() if tp.topic == self._topic}

    def recovered(self) -> Iterator[int]:
        """The partitions whose tables are recovered."""
        return filter(self._is_recovered, self.partitions())

    def _is_recovered(self, partition: int) -> bool:
        return all(table.store.is_recovered(partition) for table in self._tables)
