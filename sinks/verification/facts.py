"""Compares the facts, which commands, dashboards and SQL read, with what the rows of the audit say.

The rows are compared with the topic and the hash chains elsewhere, so facts that agree with them are those of what was
written. Each table of facts is computed again from the rows, by the query of this version's migrations and not by the
one in the database. Both sides are summed up by some thousand groups, and only groups that differ are compared row by
row. The sums have another key in each run.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.clickhouse.migrate import migrations
from nightdesk.sinks.clickhouse.script import statements_of
from nightdesk.sinks.verification.absence import KEPT, Absence

# The last migration that changed what a fact says. Facts of older records may say something else than the query does.
COMPUTED_SINCE = 16
SINCE = """
SELECT if((SELECT min(landed_at) FROM audit_places) < toDateTime(max(applied_at), 'UTC'),
    toDateTime(max(applied_at), 'UTC'), toDateTime(0, 'UTC'))
FROM migrations WHERE version = {version:UInt32}
"""
_QUERY = re.compile(
    r"^(?:ALTER TABLE (?P<altered>\w+) MODIFY QUERY"
    r"|CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<created>\w+) TO \w+ AS)\s(?P<query>.*)\Z",
    re.DOTALL | re.MULTILINE,
)
_HOUR = "toStartOfHour(toDateTime(case_at, 'UTC'))"
_SUMS = """
SELECT sipHash64(key) % 16384 AS part, count(), groupBitXor(sipHash64Keyed(
    (toUInt64({{first:String}}), toUInt64({{second:String}})), key, content)) FROM ({rows}) GROUP BY part
"""
_OF_PARTS = "SELECT key, SHA256(content) FROM ({rows}) WHERE sipHash64(key) % 16384 IN {{parts:Array(UInt16)}}"
# What the sink has not committed may be in one table and not yet in the other.
_LATE = """
SELECT DISTINCT toString(assumeNotNull({owner})) FROM audit_records
WHERE toString(assumeNotNull({owner})) IN {{owners:Array(String)}} AND incarnation = {{incarnation:UInt16}}
    AND `offset` >= transform(`partition`, {{partitions:Array(Int32)}}, {{ends:Array(Int64)}}, toInt64(0))
"""
PARTS_AT_ONCE = 100
OWNERS_AT_ONCE = 100

FactFault = Literal["changed", "removed", "added"]
HOW: Mapping[FactFault, str] = {
    "changed": "it is not what the rows of audit_records say",
    "removed": "rows of audit_records say it, and it is not there",
    "added": "no row of audit_records says it",
}


class FactFinding(NamedTuple):
    """One row of a table of facts that is not what the rows of the audit say. `key` is the id of its record or case."""

    fault: FactFault
    table: str
    key: str
    how: str


@dataclass(frozen=True, slots=True)
class Facts:
    """A table of facts. `owner` is the first part of its key, as a row of the audit has it. `merged` says how the rows
    of one key are merged, if they are states; otherwise all columns of the view's query are compared but `ignored`.
    """

    table: str
    key: str
    owner: str = "record_id"
    merged: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ("hour", "precedence")

    def rows(self, source: str, columns: Sequence[str]) -> str:
        """A query of the key and the content of each row of `source`."""
        content = f"formatRow('RowBinary', {', '.join(self.merged or columns)})"
        grouped = " GROUP BY key" if self.merged else ""
        return f"SELECT {self.key} AS key, {content} AS content FROM {source}{grouped}"  # noqa: S608 - of constants


FACTS = (
    Facts("decision_facts", "record_id"),
    Facts("step_facts", "concat(record_id, '/', toString(number))"),
    Facts("model_call_facts", "record_id"),
    Facts("records_by_kind", "record_id"),
    Facts("case_lines", "toString(record)", "sipHash64(record_id)"),
    Facts(
        "case_states",
        "case_id",
        "case_id",
        (
            *("min(first_at)", "max(last_at)", "max(subject)", "max(event_source)", "max(event_id)", "max(event_type)"),
            *("max(agent)", "max(traceparent)", "argMaxMerge(furthest)", "argMaxMerge(charter)"),
            *("argMaxMerge(decided)", "argMaxMerge(measures)", "maxMap(costs)", "maxMap(unanswered)"),
            *("maxMap(input_tokens)", "maxMap(output_tokens)", "max(has_dead_letter)", "max(dead_at)"),
            "max(revived_at)",
            "argMaxMerge(dead_reason)",
        ),
    ),
)  # fmt: skip


def queries() -> dict[str, str]:
    """The query of each view that fills facts, as the last migration that changes it has it."""
    found = [_QUERY.search(statement) for one in migrations() for statement in statements_of(one.text)]
    return {one["altered"] or one["created"]: one["query"] for one in found if one}


def compared_facts(
    client: Client, absence: Absence, incarnation: int, ends: Mapping[int, int], advance: Callable[[int], None]
) -> Iterator[FactFinding]:
    """Every fact that is not what the rows say, but for records from `ends` (partition -> offset) on. `advance` is
    called after each table. Raises `connection.ANY_FAILURE`.
    """
    (since,) = client.query(SINCE, parameters={"version": COMPUTED_SINCE}).result_rows[0]
    late = {"incarnation": incarnation, "partitions": list(ends), "ends": list(ends.values())}
    keys = {"first": str(secrets.randbits(64)), "second": str(secrets.randbits(64))}
    filled = queries()
    for one in FACTS:
        asked = {**absence.parameters_of(one.table), "since": since}
        sides = _sides(client, one, filled[f"{one.table}_of_records"], asked)
        sums = [dict(_sums(client, rows, {**asked, **keys})) for rows in sides]
        parts = sorted(part for part in sums[0].keys() | sums[1].keys() if sums[0].get(part) != sums[1].get(part))
        for start in range(0, len(parts), PARTS_AT_ONCE):
            some = {**asked, "parts": parts[start : start + PARTS_AT_ONCE]}
            recorded, found = (_read(client, rows, some) for rows in sides)
            yield from _without_late(client, one, late, list(_differing(one.table, recorded, found)))
        advance(1)


def _sides(client: Client, one: Facts, query: str, asked: Mapping[str, Any]) -> tuple[str, str]:
    """What the rows of the audit say, and what is in the table."""
    kept_rows, kept_facts = (
        f"{KEPT.format(time=hour, months='prompts')} AND {hour} >= {{since:DateTime('UTC')}}"
        for hour in (_HOUR, "hour")
    )
    feed = f"(SELECT * FROM audit_records FINAL WHERE {kept_rows})"  # noqa: S608 - of constants
    computed = f"({query.replace('FROM audit_feed', f'FROM {feed}')})"
    described = client.query(f"DESCRIBE {computed}", parameters=dict(asked)).result_rows
    columns = [f"`{row[0]}`" for row in described if row[0] not in one.ignored]
    stored = f"(SELECT * FROM {one.table} FINAL WHERE {kept_facts})"  # noqa: S608 - of constants
    return one.rows(computed, columns), one.rows(stored, columns)


def _sums(client: Client, rows: str, given: Mapping[str, Any]) -> Iterator[tuple[int, tuple[int, int]]]:
    for part, count, digests in client.query(_SUMS.format(rows=rows), parameters=dict(given)).result_rows:
        yield part, (count, digests)


def _read(client: Client, rows: str, given: Mapping[str, Any]) -> dict[str, set[bytes]]:
    found: dict[str, set[bytes]] = defaultdict(set)
    for key, digest in client.query(_OF_PARTS.format(rows=rows), parameters=dict(given)).result_rows:
        found[key].add(digest)
    return found


def _differing(
    table: str, recorded: Mapping[str, set[bytes]], found: Mapping[str, set[bytes]]
) -> Iterator[FactFinding]:
    """Copies of one record may differ in their hour, and are two rows of facts: one of them has to be right."""
    for key in sorted(recorded.keys() | found.keys()):
        if key not in found:
            yield FactFinding("removed", table, key, HOW["removed"])
        elif key not in recorded:
            yield FactFinding("added", table, key, HOW["added"])
        elif not recorded[key] & found[key]:
            yield FactFinding("changed", table, key, HOW["changed"])


def _without_late(
    client: Client, one: Facts, late: Mapping[str, Any], findings: Sequence[FactFinding]
) -> Iterator[FactFinding]:
    for start in range(0, len(findings), OWNERS_AT_ONCE):
        some = findings[start : start + OWNERS_AT_ONCE]
        asked = {**late, "owners": [finding.key.partition("/")[0] for finding in some]}
        to_come = {row[0] for row in client.query(_LATE.format(owner=one.owner), parameters=asked).result_rows}
        yield from (finding for finding in some if finding.key.partition("/")[0] not in to_come)
