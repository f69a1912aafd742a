"""What a fetch request took, and what is given back of it.

aiokafka moves the position of a partition when it hands records out, and Faust drops records that it does not want at
that moment: the positions moved and nobody got the records, of a changelog as well as of a topic of the stage. So
`batches.py` remembers where each partition's first record is that was not delivered, and the fetching thread moves the
position back there before it fetches again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from faust.types import TP

# A partition waits for at most this many records of another.
RECORDS_AT_ONCE = 200


class Taken(NamedTuple):
    """The records of one partition, and the position to which taking them moved it."""

    records: Sequence[Any]
    position: int


class Fetched:
    """The records of one request. `assignment` is aiokafka's, whose positions they moved; None without records."""

    def __init__(self, assignment: Any = None, taken: Mapping[TP, Taken] | None = None) -> None:
        self.assignment = assignment
        self._taken = taken or {}
        self._delivered = dict.fromkeys(self._taken, 0)

    @property
    def size(self) -> int:
        """How many records it has."""
        return sum(len(taken.records) for taken in self._taken.values())

    def round_robin(self) -> Iterator[tuple[TP, Sequence[Any]]]:
        """Each partition's records in order, at most `RECORDS_AT_ONCE` of each in turn. A partition whose records were
        not `delivered` by its next turn has no more turns: what follows must not come before them.
        """
        longest = max((len(taken.records) for taken in self._taken.values()), default=0)
        for start in range(0, longest, RECORDS_AT_ONCE):
            for tp, taken in self._taken.items():
                if self._delivered[tp] == start < len(taken.records):
                    yield tp, taken.records[start : start + RECORDS_AT_ONCE]

    def delivered(self, tp: TP, records: int) -> None:
        """So many more records of a partition were delivered."""
        self._delivered[tp] += records

    def give_back(self, seek: Callable[[TP, int], None]) -> None:
        """Seek each partition back to its first record that was not delivered. On the fetching thread. A partition that
        was revoked meanwhile, or sought elsewhere, stays where it is.
        """
        if self.assignment is None or not self.assignment.active:
            return
        for tp, taken in self._taken.items():
            state, delivered = self.assignment.state_value(tp), self._delivered[tp]
            if delivered < len(taken.records) and state.has_valid_position and state.position == taken.position:
                seek(tp, first_offset(taken.records[delivered]))


def first_offset(record: Any) -> int:
    """The offset from which a record is read again. What could not be read stands for several offsets."""
    return int(getattr(record, "first_offset", record.offset))
