"""Reads the audit records of a night: all records of each event that was worked on in it, or that has waited since
before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.processors.endings import KINDS_WITH_DETAIL, WAITING, AuditLine

# The subjects are found in the facts, which are sorted by hour: those of the cases that were open in the night or that
# wait now, and those of events without a case. Their records are read back to the longest time that a case may take.
# Of these the events count that had a record in the night, or that waited at its end.
LINES = """
WITH
    {since:DateTime64(6, 'UTC')} AS since, {until:DateTime64(6, 'UTC')} AS until, since - INTERVAL 45 DAY AS earliest,
    toStartOfHour(toDateTime(earliest, 'UTC')) AS first_hour,
    subjects AS (
        SELECT max(subject) AS about FROM case_states WHERE hour >= first_hour AND hour < until GROUP BY hour, case_id
        HAVING min(first_at) < until
            AND (max(last_at) >= since OR argMaxMerge(furthest).1 IN {waiting:Array(String)})
        UNION ALL
        SELECT subject FROM records_by_kind
        WHERE hour >= first_hour AND hour < until AND event_id != '' AND time < until
            AND (time >= since OR status IN {waiting:Array(String)}))
SELECT kind, time, subject, event_source, event_id, case_id, agent, step, status, reason, cost_microusd, detail FROM (
    SELECT kind, time, subject, event_source, event_id, case_id, agent, step, status, reason, cost_microusd,
        if(kind IN {with_detail:Array(String)}, detail, '') AS detail, toUInt64(`offset`) AS place,
        max(time) OVER of_event AS last_at, argMax(status, time) OVER of_event AS last_status
    FROM records
    WHERE time >= earliest AND time < until AND event_id != '' AND kind NOT IN ('control', 'lost')
        AND subject IN (SELECT about FROM subjects)
    WINDOW of_event AS (PARTITION BY subject, event_source, event_id)
    UNION ALL
    SELECT kind, time, subject, event_source, event_id, case_id, agent, step, status, reason, 0,
        if(kind IN {with_detail:Array(String)}, detail, ''), bitNot(precedence), time, status
    FROM records_by_kind FINAL
    WHERE hour >= first_hour AND hour < until AND time >= since AND time < until
        AND (event_id = '' OR kind IN ('control', 'lost')))
WHERE last_at >= since OR last_status IN {waiting:Array(String)}
ORDER BY time, step, place
"""


def _parameters(since: datetime, until: datetime) -> Mapping[str, Any]:
    """The parameters of `LINES`."""
    return {"since": since, "until": until, "with_detail": list(KINDS_WITH_DETAIL), "waiting": sorted(WAITING)}


def night_lines(client: Client, since: datetime, until: datetime) -> Iterator[AuditLine]:
    """The records in order of time, in blocks, because a night may have millions."""
    with client.query_rows_stream(LINES, parameters=dict(_parameters(since, until))) as rows:
        for row in rows:
            yield AuditLine(*row)
