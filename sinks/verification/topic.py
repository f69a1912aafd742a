"""Compares records of the audit topic with their places in ClickHouse, and adds up both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from nightdesk.schemas.records import AuditRecord
from nightdesk.sinks.audit.digest import digest
from nightdesk.sinks.audit.forgotten import ForgottenSubjects
from nightdesk.sinks.audit.table import AuditTable, InsertSlice
from nightdesk.sinks.verification.findings import Finding, Place

TOTALS_OF_RANGE = """
SELECT count(), sum(cost_microusd) FROM audit_places FINAL
WHERE topic = {topic:String} AND incarnation = {incarnation:UInt16} AND `partition` = {partition:Int32}
    AND `offset` >= {first:Int64} AND `offset` < {end:Int64}
"""
LATEST = "SELECT max(number) FROM incarnations WHERE topic = {topic:String}"


class Total(NamedTuple):
    """A number of records, and their cost."""

    records: int = 0
    cost_microusd: int = 0

    def plus(self, records: Sequence[TopicRecord]) -> Total:
        cost = sum(one.record.cost_microusd for one in records if one.record)
        return Total(self.records + len(records), self.cost_microusd + cost)


@dataclass(frozen=True, slots=True)
class TopicRecord:
    """One record of the topic; None if it cannot be read."""

    offset: int
    record: AuditRecord | None


def latest_incarnation(client: Client, topic: str) -> int:
    """The incarnation of the topic that the sink reads."""
    return int(client.query(LATEST, parameters={"topic": topic}).result_rows[0][0])


def total(client: Client, topic: str, place: Place, end: int) -> Total:
    """The records that ClickHouse has of a partition, from `place` up to, but not including, the offset `end`."""
    given = {"topic": topic, "incarnation": place.incarnation, "partition": place.partition}
    rows = client.query(TOTALS_OF_RANGE, parameters={**given, "first": place.offset, "end": end}).result_rows
    return Total(*rows[0])


def compared_records(
    client: Client, topic: str, place: Place, records: Sequence[TopicRecord], subjects: ForgottenSubjects
) -> tuple[list[Finding], list[TopicRecord]]:
    """The records of one partition that ClickHouse lacks or that differ there; `place` is that of the first. Also
    returns the records that were compared: all but those of forgotten subjects that the sink left out.
    """
    placed = _placed(client, topic, place, records)
    own = [one for one in records if one.offset in placed or one.record is None or not subjects.cover(one.record)]
    found = [
        finding
        for each in own
        for finding in _compared(place._replace(offset=each.offset), each.record, placed.pop(each.offset, {}))
    ]
    found += [
        Finding("added", place._replace(offset=offset), record_id, "the topic has no record there")
        for offset, others in placed.items()
        for record_id in others
    ]
    return found, own


def _placed(client: Client, topic: str, place: Place, records: Sequence[TopicRecord]) -> dict[int, dict[str, bytes]]:
    """By offset: the digest of each record id that ClickHouse has there."""
    range_ = InsertSlice(topic, place.partition, (), [records[0].offset, records[-1].offset], place.incarnation)
    placed: dict[int, dict[str, bytes]] = {}
    for one in AuditTable(lambda: client).placed(range_):
        placed.setdefault(one.offset, {})[one.record_id] = one.digest
    return placed


def _compared(place: Place, record: AuditRecord | None, placed: dict[str, bytes]) -> Iterator[Finding]:
    record_id = record.record_id if record else ""
    if record is None and placed:
        return  # the sink wrote a dead letter in its place
    if record is None or record_id not in placed:
        yield Finding("removed", place, record_id, "the topic has it, and ClickHouse does not")
    # If a record does not have the time of its case, ClickHouse may have added it.
    elif (record.case_id is None or record.case_at is not None) and digest(record) != placed[record_id]:
        yield Finding("changed", place, record_id, "the row is not what the topic has")
    for other in placed.keys() - {record_id}:
        yield Finding("added", place, other, "the topic has another record there")
