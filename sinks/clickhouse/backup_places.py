"""Stores the sink's offsets when a backup begins, and removes from a restored database what came after them.

A backup copies one table after another while the sink inserts records. What the sink had committed before is in every
table. What came later may be in some tables only, so a restore deletes the rows, places and links after the noted
offsets, and the sink reads these records again. Facts that it stores a second time do not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

NOW = "SELECT now64(6)"
COLUMNS = ("backup", "started_at", "topic", "topic_id", "partition", "offset", "chain")
NOTED = """
SELECT started_at, topic_id, `partition`, `offset`, chain FROM backup_places FINAL
WHERE backup = {backup:String} AND topic = {topic:String} ORDER BY `partition`
"""
# In these tables the sink looks up what is stored already, so they must have nothing that another table lacks.
BEHIND = ("audit_records", "audit_places", "audit_links")
# A topic whose id nobody stored has the latest number, or 0.
INCARNATION = """
SELECT if(countIf(topic_id = {topic_id:String}) > 0, maxIf(number, topic_id = {topic_id:String}), max(number))
FROM incarnations WHERE topic = {topic:String}
"""
# A partition without a noted offset had no records then, so its offset is 0.
DELETE_BEHIND = """
ALTER TABLE {table} DELETE WHERE topic = {{topic:String}} AND incarnation = {{incarnation:UInt16}}
    AND `offset` {comparison} transform(`partition`, {{partitions:Array(Int32)}}, {{offsets:Array(Int64)}}, toInt64(0))
SETTINGS mutations_sync = 2
"""
# The backup may have the note of a count and not its rows, if an hour was being counted. So the hours that were counted
# in the hour before the backup are opened again; a count takes minutes at most.
OPEN_HOURS = """
INSERT INTO hour_states
SELECT hour, now64(6), toDateTime64(0, 6, 'UTC') FROM hour_states GROUP BY hour
HAVING greatest(max(touched_at), max(counted_at)) >= {since:DateTime64(6, 'UTC')} - toIntervalHour(1)
"""
# The records of the sorted table are read in order, so this keeps one subject at a time in memory.
SUBJECTS = """
SELECT subject, min(case_at) FROM audit_records GROUP BY subject SETTINGS optimize_aggregation_in_order = 1
"""


class SinkPlace(NamedTuple):
    """What the sink has committed for a partition: the offset, and the value of the hash chain there, if it has one."""

    partition: int
    offset: int
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Noted:
    """The sink's offsets on the topic with this id when the backup began."""

    started_at: datetime
    topic_id: str
    places: tuple[SinkPlace, ...]


def note(client: Client, backup: str, topic: str, topic_id: str, places: Iterable[SinkPlace]) -> None:
    """Store the sink's offsets, for a backup that begins now."""
    (now,) = client.query(NOW).result_rows[0]
    client.insert("backup_places", [(backup, now, topic, topic_id, *place) for place in places], COLUMNS)


def noted(client: Client, backup: str, topic: str) -> Noted | None:
    """The sink's offsets when the backup began; None if the database has no note of them."""
    rows = client.query(NOTED, {"backup": backup, "topic": topic}).result_rows
    if not rows:
        return None
    return Noted(rows[0][0], rows[0][1], tuple(SinkPlace(*row[2:]) for row in rows))


def delete_behind(client: Client, topic: str, found: Noted) -> None:
    """Delete what was inserted while the backup was made. A link covers the records before its offset, so a link at the
    noted offset stays.
    """
    ((incarnation,),) = client.query(INCARNATION, {"topic": topic, "topic_id": found.topic_id}).result_rows
    given = {
        "topic": topic,
        "incarnation": incarnation,
        "partitions": [place.partition for place in found.places],
        "offsets": [place.offset for place in found.places],
    }
    for table in BEHIND:
        comparison = ">" if table == "audit_links" else ">="
        client.command(DELETE_BEHIND.format(table=table, comparison=comparison), given)
    client.command(OPEN_HOURS, {"since": found.started_at})


def subjects_with_times(client: Client) -> Iterable[tuple[str, datetime]]:
    """Each subject, with the time at which its first case was opened."""
    with client.query_rows_stream(SUBJECTS) as rows:
        yield from rows


def resumed(found: Noted, topic_id: str, starts: Sequence[tuple[int, int]]) -> list[SinkPlace]:
    """The offsets at which the sink continues after a restore. `starts` has each partition with the offset at which its
    log begins.

    A topic with another id has other records at these offsets, so it is read from its beginning.
    """
    known = {place.partition: place for place in found.places} if topic_id == found.topic_id else {}
    return [known.get(partition, SinkPlace(partition, start)) for partition, start in starts]
