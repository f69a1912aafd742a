"""Reads from the audit how long orders have held an agent since a time. What waits for a person there expires so much
later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

EVERY_AGENT = "*"
# An order's subject is its agent, or `*` for every one.
ORDERS = """
SELECT r.subject AS agent, r.time AS at, JSONExtractString(r.detail, 'order') != 'resume' AS stops
FROM records_by_kind AS r FINAL
WHERE r.kind = 'control' AND r.subject IN {agents:Array(String)}
    AND JSONExtractString(r.detail, 'order') IN ('pause', 'stop_all', 'resume')
ORDER BY r.time
"""
Changes = Sequence[tuple[datetime, bool]]


def pauses_since(client: Client, since: Sequence[tuple[str, datetime]], now: datetime) -> list[timedelta]:
    """For each agent and time, how long orders have held the agent since then."""
    orders: dict[str, list[tuple[datetime, bool]]] = defaultdict(list)
    agents = sorted({agent for agent, _ in since})
    for agent, at, stops in client.query(ORDERS, parameters={"agents": [*agents, EVERY_AGENT]}).result_rows:
        orders[agent].append((at, bool(stops)))
    return [_paused(orders, agent, begin, now) for agent, begin in since]


def _paused(orders: Mapping[str, Changes], agent: str, since: datetime, until: datetime) -> timedelta:
    changes = sorted((at, of, stops) for of in (agent, EVERY_AGENT) for at, stops in orders.get(of, ()) if at < until)
    held, total, begun = set[str](), timedelta(), since
    for at, of, stops in (*changes, (until, "", False)):
        if held:
            total += max(timedelta(), at - max(begun, since))
        begun = at
        held = held | {of} if stops else held - {of}
    return total
