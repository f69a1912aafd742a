"""Where one partition stands: what may be acknowledged, and whether anything was skipped. Pure.

Called by the stage for every record. Records finish in any order; only the longest finished prefix is ever committed
(Faust commits past unfinished ones). Offsets must come one after the other; a gap is told apart from a duplicate here,
and judged by the stage.
"""

from enum import Enum


class Arrival(Enum):
    """What an offset is to a position that waits for the next one."""

    NEXT = "next"
    SEEN = "seen"
    GAP = "gap"


class Position:
    """Progress of one partition since it was assigned. Offsets count up from `start`, the broker's committed offset."""

    def __init__(self, start: int) -> None:
        self.expected = start
        self.committable = start
        self.committed = start
        self._finished: set[int] = set()

    @property
    def in_flight(self) -> int:
        """Records that were accepted and cannot be committed yet."""
        return self.expected - self.committable

    def judge(self, offset: int) -> Arrival:
        """What `offset` is. Changes nothing."""
        if offset == self.expected:
            return Arrival.NEXT
        return Arrival.SEEN if offset < self.expected else Arrival.GAP

    def accept(self, offset: int) -> None:
        """Take the next offset into work."""
        if offset != self.expected:
            raise ValueError(f"offset {offset} accepted where {self.expected} is next")
        self.expected += 1

    def skip_hole(self, offset: int) -> None:
        """Go on at `offset`: the log holds nothing before it from where we stand (compaction, transaction markers)."""
        for missing in range(self.expected, offset):
            self.accept(missing)
            self.finish(missing)

    def finish(self, offset: int) -> None:
        """Everything that the record caused is durable."""
        if not self.committable <= offset < self.expected:
            raise ValueError(f"offset {offset} finished outside {self.committable}..{self.expected}")
        self._finished.add(offset)
        while self.committable in self._finished:
            self._finished.remove(self.committable)
            self.committable += 1
