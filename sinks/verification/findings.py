"""What a verification of the audit found."""

from __future__ import annotations

from typing import Literal, NamedTuple

# `chain`: the rows of a range of offsets are not those that the sink wrote, and no row of it can be named.
Fault = Literal["changed", "removed", "added", "chain"]


class Place(NamedTuple):
    """Where a record lay."""

    incarnation: int
    partition: int
    offset: int


class Finding(NamedTuple):
    """One row that is not as the sink wrote it, and how that shows. The id is empty where nobody knows it any more."""

    fault: Fault
    place: Place
    record_id: str
    how: str
