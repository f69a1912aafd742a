"""Compares the rows of the audit with their places: which row was changed, removed or added.

Both tables are summed up by some thousand offsets, and only where the sums differ rows are compared one by one. So it
reads each table once, however large it is, and keeps little in memory. The key of the sums is another at each run.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.verification.findings import Finding, Place

# As the migration that fills `audit_places` computes it.
DIGEST = """toFixedString(left(SHA256(formatRow('RowBinary', record_id, kind, time, subject, event_id, event_source,
    event_type, case_id, agent, charter_version, step, decision_id, action, confidence, disposition, status, provider,
    model, input_tokens, output_tokens, cost_microusd, latency_ms, traceparent, reason, detail, case_at)), 16), 16)"""
PARTS = "SELECT _partition_id AS part, count() FROM audit_records GROUP BY part ORDER BY part"
_SUMS = """
SELECT incarnation, `partition`, intDiv(`offset`, 1024) AS range, count(),
    groupBitXor(sipHash64Keyed((toUInt64({{first:String}}), toUInt64({{second:String}})), `offset`, record_id, digest))
FROM ({rows}) GROUP BY incarnation, `partition`, range
"""
_OF_RANGES = """
SELECT DISTINCT incarnation, `partition`, `offset`, record_id, digest FROM ({rows})
WHERE (incarnation, `partition`, intDiv(`offset`, 1024)) IN {{ranges:Array(Tuple(UInt16, Int32, Int64))}}
"""
_ROWS = f"SELECT incarnation, `partition`, `offset`, record_id, {DIGEST} AS digest FROM audit_records"  # noqa: S608
_PLACES = "SELECT incarnation, `partition`, `offset`, record_id, digest FROM audit_places"
_TOPIC = " WHERE topic = {topic:String}"
SUMS_OF_ROWS = _SUMS.format(rows=f"{_ROWS}{_TOPIC} AND _partition_id = {{part:String}}")
SUMS_OF_PLACES = _SUMS.format(rows=_PLACES + _TOPIC)
ROWS = _OF_RANGES.format(rows=_ROWS + _TOPIC)
PLACES = _OF_RANGES.format(rows=_PLACES + _TOPIC)
# Of what `nightdesk forget` deleted the places are left.
KNOWN = """
SELECT record_id FROM audit_records WHERE record_id IN {ids:Array(String)}
UNION DISTINCT SELECT record_id FROM forgotten_places WHERE record_id IN {ids:Array(String)}
"""
# What fits into the parameters of a query.
RANGES_AT_ONCE = 100
IDS_AT_ONCE = 100

Range = tuple[int, int, int]
Rows = dict[tuple[Place, str], set[bytes]]


class Sum(NamedTuple):
    """The number of rows in a range of offsets, and what their digests come to."""

    rows: int
    digests: int

    def plus(self, other: Sum) -> Sum:
        return Sum(self.rows + other.rows, self.digests ^ other.digests)


def compared_rows(client: Client, topic: str, advance: Callable[[int], None]) -> Iterator[Finding]:
    """Every row that is not as its place says. `advance` is told how many rows were summed up.

    Raises `connection.ANY_FAILURE`.
    """
    given = {"topic": topic, "first": str(secrets.randbits(64)), "second": str(secrets.randbits(64))}
    of_rows: dict[Range, Sum] = defaultdict(lambda: Sum(0, 0))
    for part, rows in client.query(PARTS).result_rows:
        for range_, found in _sums(client, SUMS_OF_ROWS, {**given, "part": part}):
            of_rows[range_] = of_rows[range_].plus(found)
        advance(rows)
    of_places = dict(_sums(client, SUMS_OF_PLACES, given))
    different = sorted(
        range_ for range_ in of_rows.keys() | of_places.keys() if of_rows.get(range_) != of_places.get(range_)
    )
    for start in range(0, len(different), RANGES_AT_ONCE):
        yield from _compared(client, topic, different[start : start + RANGES_AT_ONCE])


def _sums(client: Client, query: str, given: dict[str, Any]) -> Iterator[tuple[Range, Sum]]:
    for incarnation, partition, range_, rows, digests in client.query(query, parameters=given).result_rows:
        yield (incarnation, partition, range_), Sum(rows, digests)


def _compared(client: Client, topic: str, ranges: Sequence[Range]) -> Iterator[Finding]:
    rows, places = (_read(client, query, topic, ranges) for query in (ROWS, PLACES))
    for place, record_id in sorted(rows.keys() - places.keys()):
        yield Finding("added", place, record_id, "the sink wrote no such record there")
    for key in sorted(rows.keys() & places.keys()):
        if not rows[key] <= places[key]:
            yield Finding("changed", *key, "the row is not what the sink wrote")
    # Of two records with one id ClickHouse keeps the first.
    lacking = sorted(places.keys() - rows.keys())
    known = _known(client, [record_id for _, record_id in lacking])
    for place, record_id in lacking:
        if record_id not in known:
            yield Finding("removed", place, record_id, "the sink wrote it, and there is no row")


def _read(client: Client, query: str, topic: str, ranges: Sequence[Range]) -> Rows:
    found: Rows = defaultdict(set)
    for *place, record_id, digest in client.query(query, parameters={"topic": topic, "ranges": ranges}).result_rows:
        found[Place(*place), record_id].add(digest)
    return dict(found)


def _known(client: Client, ids: Sequence[str]) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = ids[start : start + IDS_AT_ONCE]
        known |= {row[0] for row in client.query(KNOWN, parameters={"ids": some}).result_rows}
    return known
