"""Reads from the audit which orders are in force: who may not act, by whose order, and why."""

from __future__ import annotations

from collections.abc import Iterable

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.story import Halt

# The last order for each agent. An order's subject is its agent, or `*` for every one. No `agents` are all.
HALTS = """
SELECT r.subject AS agent, argMax(JSONExtractString(r.detail, 'order'), r.time) AS order,
    argMax(JSONExtractString(r.detail, 'issued_by'), r.time) AS issued_by,
    argMax(JSONExtractString(r.detail, 'login'), r.time) AS login, argMax(r.reason, r.time) AS reason,
    max(r.time) AS since
FROM records_by_kind AS r FINAL
WHERE r.kind = 'control' AND (empty({agents:Array(String)}) OR r.subject IN {agents:Array(String)})
    AND JSONExtractString(r.detail, 'order') IN ('pause', 'stop_all', 'resume')
GROUP BY r.subject
HAVING order IN ('pause', 'stop_all')
ORDER BY agent
"""


def every_halt(client: Client) -> list[Halt]:
    """The orders in force, by agent."""
    return _read(client, [])


def halts(client: Client, agents: Iterable[str]) -> list[Halt]:
    """The orders that stop these agents from acting, those for every agent included."""
    return _read(client, [*agents, "*"])


def _read(client: Client, agents: list[str]) -> list[Halt]:
    return [Halt.model_validate(row) for row in client.query(HALTS, parameters={"agents": agents}).named_results()]
