"""Finds the events for which an agent has no case, with their place on the ingest topic."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from clickhouse_connect.driver.client import Client

UntakenStatus = Literal["rejected", "ignored", "refused"]
UNTAKEN_STATUSES: tuple[UntakenStatus, ...] = get_args(UntakenStatus)

# Only the last offer of an event to an agent counts. The record of an ignored event names no agent; it counts if no
# agent took the event.
UNTAKEN = """
SELECT
    r.subject AS subject, r.event_source AS event_source, r.event_id AS event_id, any(r.event_type) AS event_type,
    ifNull(r.agent, '') AS agent,
    argMax(r.kind, r.time) AS status, argMax(r.reason, r.time) AS reason, max(r.time) AS time,
    argMax(JSONExtractInt(r.detail, 'partition'), r.time) AS `partition`,
    argMax(JSONExtractInt(r.detail, 'offset'), r.time) AS `offset`
FROM records_by_kind AS r FINAL
WHERE r.kind IN ('rejected', 'ignored', 'refused') AND JSONHas(r.detail, 'offset') AND r.event_id != ''
    AND r.time >= {since:DateTime64(6, 'UTC')}
    AND (r.kind = 'ignored' OR {agent:String} = '' OR r.agent = {agent:String})
    AND ({event_type:String} = '' OR r.event_type = {event_type:String})
    AND (ifNull(r.agent, ''), r.subject, r.event_source, r.event_id) NOT IN (
        SELECT arrayJoin([ifNull(t.agent, ''), '']), t.subject, t.event_source, t.event_id
        FROM records AS t
        WHERE t.kind = 'received' AND t.subject IN (
            SELECT subject FROM records_by_kind
            WHERE kind IN ('rejected', 'ignored', 'refused') AND time >= {since:DateTime64(6, 'UTC')}))
GROUP BY r.subject, r.event_source, r.event_id, r.agent
HAVING status IN {statuses:Array(String)}
ORDER BY `partition`, `offset`, agent
"""


@dataclass(frozen=True, slots=True)
class UntakenEvent:
    """An event without a case, its place on the ingest topic, and the reason. `agent` is empty if no charter accepted
    it.
    """

    subject: str
    event_source: str
    event_id: str
    event_type: str
    agent: str
    status: UntakenStatus
    reason: str
    time: datetime
    partition: int
    offset: int


def untaken_events(
    client: Client, since: datetime, statuses: Collection[UntakenStatus], agent: str = "", event_type: str = ""
) -> list[UntakenEvent]:
    """The events, in the order of the log. With `agent`: those that the agent rejected or refused, and those that no
    agent took.
    """
    asked = {"since": since, "statuses": list(statuses), "agent": agent, "event_type": event_type}
    return [UntakenEvent(**row) for row in client.query(UNTAKEN, parameters=asked).named_results()]
