"""The table `audit_records`: writes rows, and finds rows that are already stored.

Rows are sent as JSON arrays: as fast as the binary format from Python, and a quarter cheaper for ClickHouse than
objects. An insert that names a column which the table does not have is refused, so no field is dropped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from operator import attrgetter
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson
from clickhouse_connect.driver.client import Client

from nightdesk.schemas.records import AuditRecord

log = logging.getLogger(__name__)

TABLE = "audit_records"
# This table stores nothing; inserting into it computes facts.
FEED = "audit_feed"
FIELDS = tuple(AuditRecord.model_fields)
COLUMNS = (*FIELDS, "topic", "partition", "offset", "incarnation")

INCARNATIONS = "SELECT topic_id, number FROM incarnations WHERE topic = {topic:String} ORDER BY number"
# Reads the key of the table backwards, so it reads one granule of each part.
HIGHEST_OFFSET = """
SELECT `offset` FROM audit_places
WHERE topic = {topic:String} AND incarnation = {incarnation:UInt16} AND `partition` = {partition:Int32}
ORDER BY topic DESC, incarnation DESC, `partition` DESC, `offset` DESC LIMIT 1
"""
STORED = """
SELECT `offset`, record_id FROM audit_places
WHERE topic = {topic:String} AND incarnation = {incarnation:UInt16} AND `partition` = {partition:Int32}
    AND `offset` BETWEEN {first:Int64} AND {last:Int64}
"""
PLACED = """
SELECT `offset`, record_id, digest FROM audit_places FINAL
WHERE topic = {topic:String} AND incarnation = {incarnation:UInt16} AND `partition` = {partition:Int32}
    AND `offset` BETWEEN {first:Int64} AND {last:Int64}
ORDER BY `offset`
"""
CASE_TIMES = """
SELECT case_id, argMin(case_at, (incarnation, `offset`)) FROM audit_records
WHERE subject IN {subjects:Array(String)} AND case_id IN {cases:Array(String)} AND kind = 'received'
GROUP BY case_id
"""
# Query parameters are sent in the URL. ClickHouse accepts 131,072 characters of each and 1 MiB of URL, and escapes in
# an array make an id up to four times as long. One id is far shorter: `schemas/bounds.py`.
PARAMETER_BYTES = 65_536
SEPARATOR_BYTES = 16

INSERT_SETTINGS = {
    "async_insert": 0,  # OK means stored
    "input_format_parallel_parsing": 0,  # dividing a batch among threads costs more than it saves
    "date_time_input_format": "best_effort",
    "input_format_null_as_default": 1,  # a record without `case_at` gets its own time
    # Rows that ClickHouse finds stored may be missing in the facts: it stores them first, and may fail in between.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_partitions_per_insert_block": 0,  # records of many months in one batch are allowed
    # Rows of one key in one insert stay until parts are merged, as those of two inserts do: readers take FINAL. To
    # look for them took a third of the time of the aggregated tables.
    "optimize_on_insert": 0,
}
# A replicated table drops an insert that is equal to an earlier one, also if the rows have been deleted since. These
# rows are facts by id: a repetition changes nothing, and what is missing has to come back.
AS_OFTEN_AS_IT_COMES = {"insert_deduplicate": 0, "deduplicate_blocks_in_dependent_materialized_views": 0}


@dataclass(frozen=True, slots=True)
class InsertSlice:
    """The rows of one partition in an insert: `records[i]` is from `offsets[i]`, in the order of offsets.

    A topic that was recreated is another `incarnation` of the topic.
    """

    topic: str
    partition: int
    records: Sequence[AuditRecord]
    offsets: Sequence[int]
    incarnation: int = 0

    @property
    def name(self) -> str:
        """Identifies the rows: their offsets, and how many there are between the first and the last."""
        place = f"{self.topic}:{self.incarnation}:{self.partition}"
        return f"{place}:{self.offsets[0]}-{self.offsets[-1]}:{len(self.offsets)}"

    def rows(self) -> Iterator[tuple[object, ...]]:
        """The rows in the order of `COLUMNS`."""
        fields = attrgetter(*FIELDS)
        pairs = zip(self.records, self.offsets, strict=True)
        place = (self.topic, self.partition)
        return ((*fields(record), *place, offset, self.incarnation) for record, offset in pairs)

    def without(self, left_out: Callable[[AuditRecord], bool]) -> InsertSlice:
        """The rows of the other records."""
        return self._with([pair for pair in zip(self.records, self.offsets, strict=True) if not left_out(pair[0])])

    def divided(self, stored: dict[int, str]) -> tuple[InsertSlice, InsertSlice]:
        """The rows that are not stored yet, and the others; `stored` is offset -> record id."""
        pairs = list(zip(self.records, self.offsets, strict=True))
        new = [pair for pair in pairs if stored.get(pair[1]) != pair[0].record_id]
        known = [pair for pair in pairs if stored.get(pair[1]) == pair[0].record_id]
        return self._with(new), self._with(known)

    def _with(self, pairs: Sequence[tuple[AuditRecord, int]]) -> InsertSlice:
        return replace(self, records=[record for record, _ in pairs], offsets=[offset for _, offset in pairs])


class PlacedRecord(NamedTuple):
    """A record as `audit_places` has it."""

    offset: int
    record_id: str
    digest: bytes


class Link(NamedTuple):
    """A row of `audit_links`."""

    topic: str
    incarnation: int
    partition: int
    offset: int
    link: str


def deduplication_token(slices: Iterable[InsertSlice]) -> str:
    """Equal for a retry of the same rows, in whatever order the partitions come, so that ClickHouse drops the second
    insert.

    It covers every partition's rows: a token for some of them would let ClickHouse drop rows that it does not have. It
    is a digest, because it is sent in the URL, and a topic may have hundreds of partitions.
    """
    return sha256(",".join(sorted(insert_slice.name for insert_slice in slices)).encode()).hexdigest()


class AuditTable:
    """Connects on first use, and again after `close`. Its methods raise `connection.ANY_FAILURE`."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        self._connect = connect
        self._client: Client | None = None

    def insert(self, slices: Sequence[InsertSlice]) -> None:
        """Write all rows of all slices in one insert; returns when ClickHouse has stored them."""
        self._insert(TABLE, slices, {"insert_deduplication_token": deduplication_token(slices)})

    def feed(self, slices: Sequence[InsertSlice]) -> None:
        """Compute the facts of rows that are stored already, because the insert that stored them may have failed before
        it stored the facts. Existing facts do not change.
        """
        self._insert(FEED, slices, AS_OFTEN_AS_IT_COMES)

    def _insert(self, table: str, slices: Sequence[InsertSlice], settings: Mapping[str, Any]) -> None:
        rows = [row for insert_slice in slices for row in insert_slice.rows()]
        self._connected().raw_insert(
            table,
            COLUMNS,
            # One call, because one for each row costs four times as much; the format has no outer brackets.
            insert_block=orjson.dumps(rows)[1:-1],
            fmt="JSONCompactEachRow",
            settings={**INSERT_SETTINGS, **settings},
        )

    def incarnation(self, topic: str, topic_id: str) -> int:
        """The number of the topic with this id, which is stored if it is new; an empty id means the latest one known.
        The first id has the number 0, like the rows that were stored before there were ids, because these rows are of
        that topic.
        """
        rows = self._connected().query(INCARNATIONS, parameters={"topic": topic}).result_rows
        known: dict[str, int] = {str(row[0]): int(row[1]) for row in rows}
        latest = max(known.values(), default=-1)
        if topic_id in known or not topic_id:
            return known.get(topic_id, max(latest, 0))
        if latest >= 0:
            log.error("%s was deleted and created again: records of the old one that were not stored are lost", topic)
        self._keep("incarnations", [[topic, topic_id, latest + 1]], ["topic", "topic_id", "number"])
        return latest + 1

    def highest_offset(self, insert_slice: InsertSlice) -> int:
        """The highest stored offset of the slice's partition; -1 if none is stored."""
        rows = self._connected().query(HIGHEST_OFFSET, parameters=_where(insert_slice)).result_rows
        return int(rows[0][0]) if rows else -1

    def stored(self, insert_slice: InsertSlice) -> dict[int, str]:
        """Offset -> record id of the rows that are stored in the slice's range."""
        where = {**_where(insert_slice), "first": insert_slice.offsets[0], "last": insert_slice.offsets[-1]}
        return {row[0]: row[1] for row in self._connected().query(STORED, parameters=where).result_rows}

    def placed(self, insert_slice: InsertSlice) -> list[PlacedRecord]:
        """The stored records in the slice's range, in the order of their offsets."""
        where = {**_where(insert_slice), "first": insert_slice.offsets[0], "last": insert_slice.offsets[-1]}
        return [PlacedRecord(*row) for row in self._connected().query(PLACED, parameters=where).result_rows]

    def insert_links(self, links: Sequence[Link]) -> None:
        """Store links of chains. Storing a link again changes nothing."""
        self._keep("audit_links", links, Link._fields)

    def _keep(self, table: str, rows: Sequence[Sequence[object]], columns: Sequence[str]) -> None:
        self._connected().insert(table, rows, columns, settings=AS_OFTEN_AS_IT_COMES)

    def case_times(self, cases: Sequence[tuple[str, str]]) -> dict[str, datetime]:
        """Case id -> when it was opened, for those cases (subject, case id) that are stored."""
        found: dict[str, datetime] = {}
        for some in _fitting_a_url(cases):
            subjects, case_ids = {subject for subject, _ in some}, {case_id for _, case_id in some}
            where = {"subjects": sorted(subjects), "cases": sorted(case_ids)}
            found |= {row[0]: row[1] for row in self._connected().query(CASE_TIMES, parameters=where).result_rows}
        return found

    def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connected(self) -> Client:
        if self._client is None:
            self._client = self._connect()
        return self._client


def _where(one: InsertSlice) -> dict[str, object]:
    return {"topic": one.topic, "incarnation": one.incarnation, "partition": one.partition}


def _fitting_a_url(cases: Iterable[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """The cases in runs whose ids fit into the parameters of one query; none is empty."""
    run: list[tuple[str, str]] = []
    size = 0
    for case in cases:
        own = sum(len(quote(one)) + SEPARATOR_BYTES for one in case)
        if run and size + own > PARAMETER_BYTES:
            yield run
            run, size = [], 0
        run.append(case)
        size += own
    if run:
        yield run
