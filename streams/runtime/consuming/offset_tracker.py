"""The progress of one partition: what may be committed, and whether offsets were skipped. Pure.

Records finish in any order, and only the longest finished prefix is committed (Faust commits past unfinished ones).
Offsets have to be consecutive: this module distinguishes gaps and duplicates, and the partition reader handles them.
"""

from enum import Enum


class OffsetRelation(Enum):
    """How an offset relates to the expected one."""

    NEXT = "next"
    SEEN = "seen"
    GAP = "gap"


class LogComparison(Enum):
    """How the next offset compares with the end of the log."""

    LEVEL = "level"
    BEHIND = "behind"
    BEYOND = "beyond"


def compare(expected: int, stable: int, end: int) -> LogComparison:
    """Compare a reader whose next offset is `expected` with a log that ends at `end` and can be read to `stable`.

    Behind: there are records before `stable`. Beyond: the reader has read more than the log has.
    """
    if expected > end:
        return LogComparison.BEYOND
    return LogComparison.BEHIND if expected < stable else LogComparison.LEVEL


class OffsetTracker:
    """Progress of one partition since it was assigned. Offsets count up from `start`, the broker's committed offset."""

    def __init__(self, start: int) -> None:
        self.expected = start
        self.committable = start
        self.committed = start
        # Finished ranges beyond `committable`: from the first offset to the offset after the last.
        self._finished: dict[int, int] = {}

    @property
    def in_flight(self) -> int:
        """Records that were accepted and cannot be committed yet."""
        return self.expected - self.committable

    def judge(self, offset: int) -> OffsetRelation:
        """Classify `offset`. Changes nothing."""
        if offset == self.expected:
            return OffsetRelation.NEXT
        return OffsetRelation.SEEN if offset < self.expected else OffsetRelation.GAP

    def accept(self, offset: int) -> None:
        """Start processing the next offset."""
        if offset != self.expected:
            raise ValueError(f"offset {offset} accepted where {self.expected} is next")
        self.expected += 1

    def skip_gap(self, offset: int) -> None:
        """Continue at `offset`: the log has nothing between (compaction, transaction markers)."""
        start = self.expected
        self.advance_to(offset)
        self.finish(start, offset)

    def advance_to(self, offset: int) -> None:
        """Continue at `offset`. The offsets before it are in flight until they are finished."""
        if offset <= self.expected:
            raise ValueError(f"offset {offset} skipped to where {self.expected} is next")
        self.expected = offset

    def finish(self, offset: int, until: int | None = None) -> None:
        """Everything that the record caused is durable; with `until`, also of all records before it."""
        until = offset + 1 if until is None else until
        if not self.committable <= offset < until <= self.expected:
            raise ValueError(f"offset {offset} finished outside {self.committable}..{self.expected}")
        self._finished[offset] = until
        while self.committable in self._finished:
            self.committable = self._finished.pop(self.committable)
