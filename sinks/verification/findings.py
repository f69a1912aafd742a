"""What a verification of the audit found."""

from __future__ import annotations

from typing import Literal, NamedTuple

# `chain`: the rows of a range of offsets are not those that the sink wrote, and no row of it can be named.
Fault = Literal["changed", "removed", "added", "chain"]


class Place(NamedTuple):
    """The place of a record on the audit topic."""

    incarnation: int
    partition: int
    offset: int


class Finding(NamedTuple):
    """One row that is not as the sink wrote it, and why we know that. The id is empty if it is not known any more."""

    fault: Fault
    place: Place
    record_id: str
    how: str
