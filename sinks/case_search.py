"""Finds cases by an id, a text or filters, and counts them by time, agent and status. Events that should have made a
case and made none are included, so that a search finds every failure.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from nightdesk.sinks.events_without_case import EVENTS_WITHOUT_CASE

_COLUMNS = """
SELECT c.case_id AS case_id, c.case_id AS id, c.status AS status, c.agent AS agent, c.subject AS subject,
    c.event_id AS event_id, c.event_type AS event_type, c.action AS action, c.confidence AS confidence,
    c.reason AS reason, c.cost_microusd AS cost_microusd, c.received_at AS received_at, c.last_at AS last_at
FROM cases AS c
"""
# Two ids may have one hash, so the ids themselves are compared, too.
BY_ID = f"""
{_COLUMNS}
WHERE c.hour IN (SELECT hour FROM ids WHERE id = sipHash64({{id:String}}))
    AND ({{id:String}} IN (c.subject, c.event_id, assumeNotNull(c.case_id)) OR c.case_id IN (
        SELECT d.case_id FROM decisions AS d
        WHERE d.decision_id = {{id:String}} AND d.hour IN (SELECT hour FROM ids WHERE id = sipHash64({{id:String}}))))
    AND (empty({{agents:Array(String)}}) OR c.agent IN {{agents:Array(String)}})
ORDER BY c.received_at DESC
LIMIT {{limit:UInt32}}
"""  # noqa: S608 - of constants
_IN_TIME = """
WHERE c.received_at >= {since:DateTime64(6, 'UTC')} AND c.received_at < {until:DateTime64(6, 'UTC')}
    AND (empty({agents:Array(String)}) OR c.agent IN {agents:Array(String)})
"""
# Events that made no case, as cases that cost nothing. Their time is that of the last attempt.
_WITHOUT_CASE = f"""
SELECT CAST(NULL, 'Nullable(String)') AS case_id, c.id AS id, c.status AS status,
    nullIf(c.agent, '') AS agent, c.subject AS subject, c.event_id AS event_id, c.event_type AS event_type,
    CAST(NULL, 'Nullable(String)') AS action, CAST(NULL, 'Nullable(Float64)') AS confidence, c.reason AS reason,
    toInt64(0) AS cost_microusd, c.last_at AS received_at, c.last_at AS last_at
FROM ({EVENTS_WITHOUT_CASE}) AS c
"""  # noqa: S608 - of constants
_ALL = f"""
{_COLUMNS}{_IN_TIME}
UNION ALL
SELECT * FROM ({_WITHOUT_CASE}) AS c {_IN_TIME}
"""  # noqa: S608 - of constants
# The text of an event is in its record. Records are sorted by subject and slow to search, so they come last.
_MATCHING = """
WHERE (empty({statuses:Array(String)}) OR c.status IN {statuses:Array(String)})
    AND ({agent:String} = '' OR c.agent = {agent:String})
    AND ({action:String} = '' OR c.action = {action:String})
    AND ({text:String} = ''
        OR positionCaseInsensitiveUTF8(c.subject, {text:String}) > 0
        OR positionCaseInsensitiveUTF8(c.reason, {text:String}) > 0
        OR (c.case_id IS NULL AND c.event_id = {text:String})
        OR c.case_id IN (
            SELECT d.case_id FROM decisions AS d
            WHERE d.decided_at >= {since:DateTime64(6, 'UTC')} AND (
                positionCaseInsensitiveUTF8(d.reasoning, {text:String}) > 0
                OR positionCaseInsensitiveUTF8(d.parameters, {text:String}) > 0)))
ORDER BY c.received_at DESC, c.id
LIMIT {limit:UInt32}
"""
BY_FILTER = f"SELECT * FROM ({_ALL}) AS c{_MATCHING}"  # noqa: S608 - of constants
FACETS = f"""
SELECT c.status AS status, ifNull(c.agent, '') AS agent, ifNull(c.action, '') AS action, count() AS cases
FROM ({_ALL}) AS c
GROUP BY status, agent, action
"""  # noqa: S608 - of constants
TALLY = f"""
SELECT toStartOfInterval(c.received_at, toIntervalSecond({{bucket_s:UInt32}})) AS started, ifNull(c.agent, '') AS agent,
    c.status AS status, count() AS cases, sum(c.cost_microusd) AS cost_microusd
FROM ({_ALL}) AS c
GROUP BY started, agent, status
ORDER BY started, agent, status
"""  # noqa: S608 - of constants


@dataclass(frozen=True, slots=True)
class FoundCase:
    """One case in a list, or an event without one: its `case_id` is None. `id` is the argument for `nightdesk why`."""

    case_id: str | None
    id: str
    status: str
    agent: str | None
    subject: str
    event_id: str
    event_type: str
    action: str | None
    confidence: float | None
    reason: str
    cost_microusd: int
    received_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Facet:
    """How many cases of the period have one status, agent and action."""

    status: str
    agent: str
    action: str
    cases: int


@dataclass(frozen=True, slots=True)
class Tally:
    """The cases of one agent with one status that came within the same interval, which began at `started`."""

    started: datetime
    agent: str
    status: str
    cases: int
    cost_microusd: int


@dataclass(frozen=True, slots=True)
class Period:
    """Cases that came in this time, of these agents; no agents means every one."""

    since: datetime
    until: datetime
    agents: Collection[str] = ()

    def parameters(self) -> dict[str, Any]:
        return {"since": self.since, "until": self.until, "agents": list(self.agents)}


@dataclass(frozen=True, slots=True)
class CaseQuery:
    """A query for cases of a period. An empty field matches all; `limit` selects the newest."""

    period: Period
    statuses: tuple[str, ...] = ()
    agent: str = ""
    action: str = ""
    text: str = ""
    limit: int = 100

    def parameters(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("agent", "action", "text", "limit")}
        return {**self.period.parameters(), **own, "statuses": list(self.statuses)}


def cases_by_id(client: Client, id_: str, agents: Collection[str], limit: int) -> list[FoundCase]:
    """The cases that a subject, event, case or decision id names, the newest first."""
    asked = {"id": id_, "agents": list(agents), "limit": limit}
    return [FoundCase(**row) for row in client.query(BY_ID, parameters=asked).named_results()]


def cases_by_filter(client: Client, query: CaseQuery) -> list[FoundCase]:
    """The newest first."""
    return [FoundCase(**row) for row in client.query(BY_FILTER, parameters=query.parameters()).named_results()]


def facets(client: Client, period: Period) -> list[Facet]:
    """How the cases of a period divide by status, agent and action."""
    return [Facet(**row) for row in client.query(FACETS, parameters=period.parameters()).named_results()]


def tally(client: Client, period: Period, bucket_s: int) -> list[Tally]:
    """The cases of a period, counted by interval, agent and status."""
    asked = {**period.parameters(), "bucket_s": bucket_s}
    return [Tally(**row) for row in client.query(TALLY, parameters=asked).named_results()]
