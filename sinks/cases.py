"""Lists cases by status, and the events that should have made one.

An event whose data does not match an agent's schema, or that could not be read, has no case; it is listed beside the
cases as `rejected` or `failed`, so that everything that needs a person is counted somewhere.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from clickhouse_connect.driver.client import Client

from nightdesk.schemas.records import CaseStatus
from nightdesk.sinks.events_without_case import EVENTS_WITHOUT_CASE, REJECTED

STATUSES = (*get_args(CaseStatus), REJECTED)

# `id` is the argument for `nightdesk why`.
_ALL = f"""
SELECT case_id AS id, toString(status) AS status, toString(agent) AS agent, subject, event_id, event_type, reason,
    last_at AS time
FROM cases
WHERE last_at >= {{since:DateTime64(6, 'UTC')}}
UNION ALL
SELECT id, status, nullIf(agent, '') AS agent, subject, event_id, event_type, reason, last_at AS time
FROM ({EVENTS_WITHOUT_CASE})
"""  # noqa: S608 - of constants
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
    """One case, or one event without any. `time` is that of its last record."""

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
    """Cases and events without one, the newest first. An empty `statuses` or `agent` matches all."""
    asked = {"since": since, "statuses": list(statuses), "agent": agent, "limit": limit}
    return [ListedCase(**row) for row in client.query(LISTED, parameters=asked).named_results()]


def counted(client: Client, since: datetime, statuses: Collection[str]) -> dict[str, int]:
    """Status -> count, 0 for none."""
    rows = client.query(COUNTED, parameters={"since": since, "statuses": list(statuses)}).named_results()
    found = {str(row["status"]): int(row["cases"]) for row in rows}
    return {status: found.get(status, 0) for status in statuses}
