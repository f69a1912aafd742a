"""Compares the rows of the audit with their places, to find the rows that were changed, removed or added.

Both tables are summed up by some thousand offsets, and only where the sums differ rows are compared one by one. So it
reads each table once, however large it is, and keeps little in memory. The sums have another key in each run. A row
that retention may have deleted is not compared. Of a row whose text retention may have cleared only the id and the
place are compared. But every row that is still there must have a place.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.verification.absence import KEPT, Absence
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
_HOUR = "toStartOfHour(toDateTime(case_at, 'UTC'))"
_PLACE = "incarnation, `partition`, `offset`, record_id"


def _select(table: str, hour: str, digest: str) -> str:
    """The rows that are surely kept; without their digest if their text is not."""
    of_text, of_prompt, kept = (KEPT.format(time=hour, months=months) for months in ("texts", "prompts", "rows"))
    whole = f"if(kind = 'asked', {of_prompt}, {of_text})"
    return (
        f"SELECT {_PLACE}, if({whole}, {digest}, toFixedString('', 16)) AS digest FROM {table} "  # noqa: S608
        f"WHERE topic = {{topic:String}} AND {kept}"
    )


_ROWS = _select("audit_records", _HOUR, DIGEST)
_PLACES = _select("audit_places", "hour", "digest")
SUMS_OF_ROWS = _SUMS.format(rows=f"{_ROWS} AND _partition_id = {{part:String}}")
SUMS_OF_PLACES = _SUMS.format(rows=_PLACES)
ROWS = _OF_RANGES.format(rows=_ROWS)
PLACES = _OF_RANGES.format(rows=_PLACES)
KNOWN = "SELECT record_id FROM audit_records WHERE record_id IN {ids:Array(String)}"
# The places of rows that `nightdesk forget` deleted.
FORGOTTEN = "SELECT record_id, digest FROM forgotten_places WHERE record_id IN {ids:Array(String)}"
_OLD_ROWS = f"FROM audit_records WHERE topic = {{topic:String}} AND NOT ({KEPT.format(time=_HOUR, months='rows')})"
WITHOUT_PLACE = f"""
SELECT DISTINCT {_PLACE} {_OLD_ROWS} AND ({_PLACE}) NOT IN (
    SELECT {_PLACE} FROM audit_places WHERE topic = {{topic:String}} AND `offset` IN (SELECT `offset` {_OLD_ROWS})
) ORDER BY ALL
"""  # noqa: S608 - of constants
UNCONFIRMED = (
    "it is noted as a forgotten subject's, and the topic `forgotten` does not confirm that: "
    "if `nightdesk forget` broke off, run it again"
)
# What fits into the parameters of a query.
RANGES_AT_ONCE = 100
IDS_AT_ONCE = 100

Range = tuple[int, int, int]
Rows = dict[tuple[Place, str], set[bytes]]


class Sum(NamedTuple):
    """The number of rows in a range of offsets, and the XOR of the keyed hashes of their digests."""

    rows: int
    digests: int

    def plus(self, other: Sum) -> Sum:
        return Sum(self.rows + other.rows, self.digests ^ other.digests)


def compared_rows(client: Client, topic: str, absence: Absence, advance: Callable[[int], None]) -> Iterator[Finding]:
    """Every row that differs from its place. `advance` is called with the number of rows that were summed up.

    Raises `connection.ANY_FAILURE`.
    """
    asked = {**absence.parameters, "topic": topic}
    given = {**asked, "first": str(secrets.randbits(64)), "second": str(secrets.randbits(64))}
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
        some = {**asked, "ranges": different[start : start + RANGES_AT_ONCE]}
        yield from _compared(client, some, absence)


def old_rows_without_place(client: Client, topic: str, absence: Absence) -> list[tuple[Place, str]]:
    """Rows that are still there, although retention may have deleted them, and whose place is gone; and the ids of
    their records.
    """
    rows = client.query(WITHOUT_PLACE, parameters={**absence.parameters, "topic": topic}).result_rows
    return [(Place(*place), record_id) for *place, record_id in rows]


def _sums(client: Client, query: str, given: dict[str, Any]) -> Iterator[tuple[Range, Sum]]:
    for incarnation, partition, range_, rows, digests in client.query(query, parameters=given).result_rows:
        yield (incarnation, partition, range_), Sum(rows, digests)


def _compared(client: Client, asked: dict[str, Any], absence: Absence) -> Iterator[Finding]:
    rows, places = (_read(client, query, asked) for query in (ROWS, PLACES))
    for place, record_id in sorted(rows.keys() - places.keys()):
        yield Finding("added", place, record_id, "the sink wrote no such record there")
    for key in sorted(rows.keys() & places.keys()):
        if not rows[key] <= places[key]:
            yield Finding("changed", *key, "the row is not what the sink wrote")
    # Of two records with one id ClickHouse keeps the first.
    lacking = sorted(places.keys() - rows.keys())
    ids = [record_id for _, record_id in lacking]
    known = {record_id for (record_id,) in _of_ids(client, KNOWN, ids)}
    forgotten = dict(_of_ids(client, FORGOTTEN, [one for one in ids if one not in known]))
    for place, record_id in lacking:
        subject = forgotten.get(record_id)
        if record_id not in known and subject not in absence.confirmed:
            how = UNCONFIRMED if subject else "the sink wrote it, and there is no row"
            yield Finding("removed", place, record_id, how)


def _read(client: Client, query: str, asked: dict[str, Any]) -> Rows:
    found: Rows = defaultdict(set)
    for *place, record_id, digest in client.query(query, parameters=asked).result_rows:
        found[Place(*place), record_id].add(digest)
    return dict(found)


def _of_ids(client: Client, query: str, ids: Sequence[str]) -> Iterator[Any]:
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield from client.query(query, parameters={"ids": ids[start : start + IDS_AT_ONCE]}).result_rows
