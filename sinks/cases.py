"""Lists cases by status, and events that were rejected before a case started.

An event whose data does not match an agent's schema has no case; it is listed beside the cases with the status
`rejected`, so that everything that needs a person is counted somewhere.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from clickhouse_connect.driver.client import Client

from nightdesk.schemas.records import CaseStatus

REJECTED = "rejected"
STATUSES = (*get_args(CaseStatus), REJECTED)

# `id` is the argument for `nightdesk why`. A rejected event that was offered again is listed once, and not at all if
# its agent took it then.
_ALL = """
SELECT case_id AS id, toString(status) AS status, agent, subject, event_id, event_type, reason, last_at AS time
FROM cases
WHERE last_at >= {since:DateTime64(6, 'UTC')}
UNION ALL
SELECT r.event_id AS id, 'rejected' AS status, r.agent AS agent, r.subject AS subject, r.event_id AS event_id,
    toString(any(r.event_type)) AS event_type, argMax(r.reason, r.time) AS reason, max(r.time) AS time
FROM records_by_kind AS r FINAL
WHERE r.kind = 'rejected' AND r.time >= {since:DateTime64(6, 'UTC')}
    AND (r.agent, r.subject, r.event_source, r.event_id) NOT IN (
        SELECT t.agent, t.subject, t.event_source, t.event_id FROM records AS t
        WHERE t.kind = 'received' AND t.subject IN (
            SELECT subject FROM records_by_kind WHERE kind = 'rejected' AND time >= {since:DateTime64(6, 'UTC')}))
GROUP BY r.subject, r.event_source, r.event_id, r.agent
"""
_SHOWN = """
WHERE time >= {since:DateTime64(6, 'UTC')}
    AND (empty({statuses:Array(String)}) OR status IN {statuses:Array(String)})
    AND ({agent:String} = '' OR agent = {agent:String})
ORDER BY time DESC, id
LIMIT {limit:UInt32}
"""
_COUNTED = """
WHERE time >= {since:DateTime64(6, 'UTC')} AND status IN {statuses:Array(String)}
GROUP BY status
"""
LISTED = f"SELECT * FROM ({_ALL}) {_SHOWN}"  # noqa: S608 - of constants
COUNTED = f"SELECT status, count() AS cases FROM ({_ALL}) {_COUNTED}"  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class ListedCase:
    """One case, or one rejected event. `time` is that of its last record."""

    id: str
    status: str
    agent: str | None
    subject: str
    event_id: str
    event_type: str
    reason: str
    time: datetime


def cases(
    client: Client, since: datetime, statuses: Collection[str] = (), agent: str = "", limit: int = 50
) -> list[ListedCase]:
    """Cases and rejected events, the newest first. An empty `statuses` or `agent` matches all."""
    asked = {"since": since, "statuses": list(statuses), "agent": agent, "limit": limit}
    return [ListedCase(**row) for row in client.query(LISTED, parameters=asked).named_results()]


def counted(client: Client, since: datetime, statuses: Collection[str]) -> dict[str, int]:
    """Status -> count, 0 for none."""
    rows = client.query(COUNTED, parameters={"since": since, "statuses": list(statuses)}).named_results()
    found = {str(row["status"]): int(row["cases"]) for row in rows}
    return {status: found.get(status, 0) for status in statuses}
