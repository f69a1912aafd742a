"""Reads from the audit which follow-ups are still to come.

The result of a `remind` step names the timer that it set, and its time. A record of kind `cancelled` cancels it, and so
does an undo of the step.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

_TO_COME = """
SELECT JSONExtractString(s.result, 'timer_id') AS timer_id, s.subject AS subject, s.agent AS agent,
    s.case_id AS case_id, s.result AS result,
    parseDateTime64BestEffortOrNull(JSONExtractString(s.result, 'due_at'), 6, 'UTC') AS due_at
FROM steps AS s
WHERE s.status = 'done' AND s.attempts = 0 AND timer_id != '' AND startsWith(timer_id, {timer:String})
    AND due_at > {now:DateTime64(6, 'UTC')}
    AND (s.decision_id, s.position) NOT IN (SELECT decision_id, position FROM steps WHERE status = 'undone')
    AND timer_id NOT IN (SELECT JSONExtractString(detail, 'timer_id') FROM records_by_kind WHERE kind = 'cancelled')
ORDER BY due_at, timer_id
"""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """An event of type `event_type` that comes at `due_at`, unless it is cancelled."""

    timer_id: str
    subject: str
    agent: str
    case_id: str
    event_type: str
    due_at: datetime


def follow_ups(client: Client, now: datetime, timer_id: str = "") -> list[FollowUp]:
    """The follow-ups after `now`, the soonest first; only those whose timer's id starts with `timer_id`, if given."""
    found = client.query(_TO_COME, parameters={"timer": timer_id, "now": now}).named_results()
    return [
        FollowUp(
            timer_id=row["timer_id"],
            subject=row["subject"],
            agent=row["agent"],
            case_id=row["case_id"],
            event_type=str(json.loads(row["result"]).get("type", "")),
            due_at=row["due_at"],
        )
        for row in found
    ]
