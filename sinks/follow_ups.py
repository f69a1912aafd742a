"""Reads from the audit which follow-ups are still to come.

The result of a `remind` step names the timer that it set, and its time. A record of kind `cancelled` cancels it, and so
does an undo of the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

# By the key of the table: what is past is not read.
TO_COME = """
SELECT timer_id, subject, agent, case_id, event_type, due_at FROM follow_ups
WHERE due_at > {now:DateTime64(6, 'UTC')} AND ended_by = '' AND startsWith(timer_id, {timer:String})
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
    found = client.query(TO_COME, parameters={"timer": timer_id, "now": now}).named_results()
    return [FollowUp(**row) for row in found]
