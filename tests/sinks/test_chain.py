"""A chain has every record of a batch, or the batch comes again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from nightdesk.sinks.audit.chain import BEGINNING, Chains, Head, NotShown, extended
from nightdesk.sinks.audit.table import AuditTable, InsertSlice, Link, PlacedRecord
from nightdesk.sinks.clickhouse.connection import UNREACHABLE
from tests.sinks.records import record

PLACED = [PlacedRecord(offset, f"r-{offset}", bytes([offset]) * 16) for offset in range(3)]
BATCH = InsertSlice("audit", 0, [record("received", n, record_id=f"r-{n}") for n in range(3)], range(3))


class Replica:
    """A replica that has only some of the rows."""

    def __init__(self) -> None:
        self.shown: list[PlacedRecord] = []
        self.links: list[Link] = []

    def placed(self, _slice: InsertSlice) -> list[PlacedRecord]:
        return self.shown

    def insert_links(self, links: Sequence[Link]) -> None:
        self.links += links


def test_a_replica_that_is_behind_breaks_no_chain() -> None:
    replica = Replica()
    chains = Chains(cast(AuditTable, replica))
    replica.shown = [PLACED[0], PLACED[2]._replace(record_id="another's")]
    with pytest.raises(NotShown, match="2 of the records"):
        chains.extend([BATCH])
    assert issubclass(NotShown, UNREACHABLE)  # the sink waits, and reads the batch again
    assert (chains.value(0), replica.links) == ("", [])
    replica.shown = PLACED
    chains.extend([BATCH])
    head = Head(0, BEGINNING)
    for one in PLACED:
        head = extended(head, one)
    assert chains.value(0) == head.value
    assert {(link.offset, link.link) for link in replica.links} == {(0, BEGINNING)}
