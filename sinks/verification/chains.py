"""Recomputes the hash chain of a partition from its first link on, to find out whether the places are those that the
sink wrote.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.audit.chain import BEGINNING, Head, extended
from nightdesk.sinks.audit.table import PlacedRecord
from nightdesk.sinks.verification.absence import KEPT, LINK_DAYS, Absence
from nightdesk.sinks.verification.findings import Finding, Place

_OF_PARTITION = "topic = {topic:String} AND incarnation = {incarnation:UInt16} AND `partition` = {partition:Int32}"
CHAINS = "SELECT DISTINCT incarnation, `partition` FROM audit_links WHERE topic = {topic:String} ORDER BY ALL"
LINKS = f"SELECT `offset`, link FROM audit_links FINAL WHERE {_OF_PARTITION} ORDER BY `offset`, link"  # noqa: S608
LAST_OLD_LINK = f"""
SELECT max(`offset`) FROM audit_links FINAL
WHERE {_OF_PARTITION} AND NOT ({KEPT.format(time="landed_at", months="places")} + toIntervalDay({LINK_DAYS}))
HAVING count() > 0
"""  # noqa: S608
PLACES = f"""
SELECT `offset`, record_id, digest FROM audit_places FINAL
WHERE {_OF_PARTITION} AND `offset` >= {{first:Int64}} AND `offset` < {{end:Int64}}
ORDER BY `offset`, record_id
"""  # noqa: S608 - of constants
# This many offsets are read at once.
LINKS_AT_ONCE = 100
MISSING_NAMED_AT_MOST = 10
OFFSETS_AT_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain of one partition of one incarnation of the topic."""

    topic: str
    incarnation: int
    partition: int

    def place(self, offset: int) -> Place:
        return Place(self.incarnation, self.partition, offset)


def chains(client: Client, topic: str) -> list[Chain]:
    """Every partition that has a chain."""
    return [Chain(topic, *row) for row in client.query(CHAINS, parameters={"topic": topic}).result_rows]


def links(client: Client, chain: Chain) -> list[Head]:
    """The links that the sink stored, the first of which begins the chain."""
    rows = client.query(LINKS, parameters=_given(chain)).result_rows
    return [Head(offset, link.decode() if isinstance(link, bytes) else link) for offset, link in rows]


def whole(client: Client, chain: Chain, stored: Sequence[Head], absence: Absence) -> list[Head]:
    """The links behind which every place must be there, because retention cannot have deleted it."""
    rows = client.query(LAST_OLD_LINK, parameters={**_given(chain), **absence.parameters}).result_rows
    return [link for link in stored if not rows or link.offset > rows[0][0]]


def walked(client: Client, chain: Chain, stored: Sequence[Head]) -> Iterator[Finding]:
    """The ranges between links whose places do not come to the next link, with the rows that can be named. A link that
    begins a chain ends the one before it unproved; the last is what Kafka has.
    """
    for start in range(0, len(stored) - 1, LINKS_AT_ONCE):
        some = stored[start : start + LINKS_AT_ONCE + 1]
        records = _places(client, chain, some[0].offset, some[-1].offset)
        for begin, end in pairwise(some):
            first, last = (bisect_left(records, one.offset, key=attrgetter("offset")) for one in (begin, end))
            own = records[first:last]
            head = begin
            for record in own:
                head = extended(head, record)
            if head.value != end.value and end.value != BEGINNING:
                yield from _wrong(chain, begin, end, own)


def without_beginning(chain: Chain, stored: Sequence[Head]) -> Iterator[Finding]:
    """Whether the first links are gone: a link stays however old it is, and the first one begins the chain."""
    if stored[0].value != BEGINNING:
        how = f"the links before offset {stored[0].offset} are gone, and nothing proves the records before it"
        yield Finding("chain", chain.place(0), "", how)


def behind(client: Client, chain: Chain, end: int) -> Iterator[Finding]:
    """The records at or behind `end`, where the topic ends."""
    for record in _places(client, chain, end, OFFSETS_AT_MOST):
        yield Finding("added", chain.place(record.offset), record.record_id, "the topic ends before this offset")


def _wrong(chain: Chain, begin: Head, end: Head, records: Sequence[PlacedRecord]) -> Iterator[Finding]:
    first, last = begin.offset, end.offset - 1
    yield Finding(
        "chain", chain.place(first), "", f"the records from offset {first} to {last} are not those that the sink wrote"
    )
    for before, record in pairwise(records):
        if before.offset == record.offset:
            for one in (before, record):
                yield Finding("added", chain.place(one.offset), one.record_id, "two records are at one offset")
    missing = sorted(set(range(begin.offset, end.offset)) - {record.offset for record in records})
    for offset in missing[:MISSING_NAMED_AT_MOST]:
        yield Finding(
            "removed", chain.place(offset), "", "no record is at this offset; nor is where a transaction ends"
        )


def _places(client: Client, chain: Chain, first: int, end: int) -> list[PlacedRecord]:
    rows = client.query(PLACES, parameters={**_given(chain), "first": first, "end": end}).result_rows
    return [PlacedRecord(*row) for row in rows]


def _given(chain: Chain) -> dict[str, object]:
    return {"topic": chain.topic, "incarnation": chain.incarnation, "partition": chain.partition}
