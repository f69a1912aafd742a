"""A follow-up is to come until it is due, cancelled or undone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from nightdesk.schemas.audit import CancelledDetail
from nightdesk.sinks.follow_ups import follow_ups
from tests.sinks.records import acted, at, land, outcome, record


def _remind(status: str = "done", due_s: float = 100) -> dict[str, Any]:
    result = {"due_at": at(due_s).isoformat(), "timer_id": "timer-1", "type": "ticket.followup"}
    return {"status": status, "handler": "remind", "result": json.dumps(result), "attempts": 0}


def test_a_follow_up_is_listed_until_it_is_due(client: Client) -> None:
    land(client, acted(3, "completed", outcomes=[outcome(0, **_remind())]))
    [one] = follow_ups(client, at(99))
    assert (one.timer_id, one.event_type, one.subject, one.due_at) == (
        "timer-1",
        "ticket.followup",
        "ticket-1",
        at(100),
    )
    assert follow_ups(client, at(101)) == []
    assert follow_ups(client, at(99), "timer-2") == []


@pytest.mark.parametrize("how", ["cancelled", "undone"])
def test_what_was_taken_back_is_not_listed(client: Client, how: str) -> None:
    outcomes = [outcome(0, **_remind())]
    if how == "undone":
        outcomes.append(outcome(0, "undone", handler="remind", attempts=0))
    found = [acted(3, "completed", outcomes=outcomes)]
    if how == "cancelled":
        detail = CancelledDetail(timer_id="timer-1", due_at=at(100), event_id="evt-2")
        found.append(record("cancelled", 5, detail, status="ignored"))
    land(client, *found)
    assert follow_ups(client, at(50)) == []
