"""Reads the audit records of a night: all records of each event that was worked on in it, or that has waited since
before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from clickhouse_connect.driver.client import Client

from nightdesk.processors.endings import KINDS_WITH_DETAIL, WAITING, AuditLine

# A waiting event has a record within the last days. Its earlier records are read back to the longest time that a case
# may take.
LINES = """
SELECT kind, time, subject, event_source, event_id, case_id, agent, step, status, reason, cost_microusd,
    if(kind IN {with_detail:Array(String)}, detail, '') AS detail
FROM records
WHERE time < {until:DateTime64(6, 'UTC')} AND if(kind IN ('control', 'lost') OR event_id = '',
    time >= {since:DateTime64(6, 'UTC')},
    time >= {since:DateTime64(6, 'UTC')} - INTERVAL 45 DAY AND (subject, event_source, event_id) IN (
        SELECT subject, event_source, event_id FROM records
        WHERE time >= {since:DateTime64(6, 'UTC')} - INTERVAL 7 DAY AND time < {until:DateTime64(6, 'UTC')}
        GROUP BY subject, event_source, event_id
        HAVING max(time) >= {since:DateTime64(6, 'UTC')} OR argMax(status, time) IN {waiting:Array(String)}))
ORDER BY time, step, `offset`
"""


def night_lines(client: Client, since: datetime, until: datetime) -> Iterator[AuditLine]:
    """The records in order of time, in blocks, because a night may have millions."""
    asked = {"since": since, "until": until, "with_detail": list(KINDS_WITH_DETAIL), "waiting": sorted(WAITING)}
    with client.query_rows_stream(LINES, parameters=asked) as rows:
        for row in rows:
            yield AuditLine(*row)
