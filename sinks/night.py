"""Reads the audit records of a night: all records of each event that was worked on in it, or that has waited since
before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.processors.endings import KINDS_WITH_DETAIL, WAITING, AuditLine

# Both tables are sorted by the hour in which a case was opened, and are read back to the longest time that a case may
# take. Of an older hour those events are read that have a record since the night began, or a case that waits now. Of
# these the events count that had a record in the night, or that waited at its end.
LINES = """
WITH
    {since:DateTime64(6, 'UTC')} AS since, {until:DateTime64(6, 'UTC')} AS until,
    toStartOfHour(toDateTime(since - INTERVAL 45 DAY, 'UTC')) AS first_hour,
    hours_that_wait AS (
        SELECT hour FROM hourly WHERE hour >= first_hour AND hour < until
        GROUP BY hour HAVING sum(needs_approval) + sum(waiting) + sum(deferred) > 0),
    events AS (
        SELECT hour, subject, event_source, event_id FROM case_lines
        WHERE hour >= first_hour AND hour < until AND time >= since
        UNION DISTINCT
        SELECT hour, max(subject), max(event_source), max(event_id) FROM case_states
        WHERE hour IN (SELECT hour FROM hours_that_wait) GROUP BY hour, case_id
        HAVING argMaxMerge(furthest).1 IN {waiting:Array(String)}
        UNION DISTINCT
        SELECT hour, subject, event_source, event_id FROM records_by_kind
        WHERE hour >= first_hour AND hour < until AND time >= since AND event_id != ''
            AND kind NOT IN ('control', 'lost')
        UNION DISTINCT
        SELECT hour, subject, event_source, event_id FROM records_by_kind
        WHERE kind = 'parked' AND hour >= first_hour AND hour < until AND case_id IS NULL AND event_id != '')
SELECT kind, time, subject, event_source, event_id, case_id, agent, step, status, reason, cost_microusd, detail FROM (
    SELECT kind, time, subject, event_source, event_id, case_id, agent, step, status, reason, cost_microusd, detail,
        place, max(time) OVER of_event AS last_at, argMax(status, time) OVER of_event AS last_status
    FROM (
        SELECT kind, time, subject, event_source, event_id, toNullable(case_id) AS case_id, agent, step, status, reason,
            cost_microusd,
            if(kind = 'decided', concat('{"model_calls":', toString(model_calls),
                ',"unanswered_microusd":', toString(unanswered_microusd), ',"baseline_s":', toString(baseline_s),
                ',"baseline_microusd":', toString(baseline_microusd), '}'), '') AS detail,
            bitNot(precedence) AS place
        FROM case_lines FINAL
        WHERE (hour, subject, event_source, event_id) IN (SELECT * FROM events) AND time < until
        UNION ALL
        SELECT kind, time, subject, event_source, event_id, case_id, agent, step, status, reason, 0,
            if(kind IN {with_detail:Array(String)}, detail, ''), bitNot(precedence)
        FROM records_by_kind FINAL
        WHERE (hour, subject, event_source, event_id) IN (SELECT * FROM events) AND time < until
            AND kind NOT IN ('control', 'lost'))
    WINDOW of_event AS (PARTITION BY subject, event_source, event_id)
    UNION ALL
    SELECT kind, time, subject, event_source, event_id, case_id, agent, step, status, reason, 0,
        if(kind IN {with_detail:Array(String)}, detail, ''), bitNot(precedence), time, status
    FROM records_by_kind FINAL
    WHERE hour >= toStartOfHour(toDateTime(since, 'UTC')) AND hour < until AND time >= since AND time < until
        AND (event_id = '' OR kind IN ('control', 'lost')))
WHERE last_at >= since OR last_status IN {waiting:Array(String)}
ORDER BY time, step, place
"""


def parameters(since: datetime, until: datetime) -> Mapping[str, Any]:
    """The parameters of `LINES`."""
    return {"since": since, "until": until, "with_detail": list(KINDS_WITH_DETAIL), "waiting": sorted(WAITING)}


def night_lines(client: Client, since: datetime, until: datetime) -> Iterator[AuditLine]:
    """The records in order of time, in blocks, because a night may have millions."""
    with client.query_rows_stream(LINES, parameters=dict(parameters(since, until))) as rows:
        for row in rows:
            yield AuditLine(*row)
