"""Tonight: how the cases of the last hours ended, what they cost, and what needs a person now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from nightdesk.console.frame import Page, Visiting, page
from nightdesk.messaging.failures import Failure
from nightdesk.operations.approvals import waiting_decisions
from nightdesk.operations.case_search import find_cases, tally_cases
from nightdesk.operations.status import Status, read_status
from nightdesk.sinks.approvals import Waiting
from nightdesk.sinks.case_search import CaseQuery, FoundCase, Period, Tally
from nightdesk.sinks.story import Halt

router = APIRouter()
PAGE = Page("tonight", "Tonight", "t", router)

BUCKETS = 48
LATEST = 12
SOONEST = 5
Span = Literal["1h", "12h", "24h", "7d"]
SPANS: Mapping[Span, timedelta] = {
    "1h": timedelta(hours=1),
    "12h": timedelta(hours=12),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
}
# Each tile with the statuses that it counts: those that an operator reads first.
TILES: Mapping[str, tuple[str, ...]] = {
    "completed": ("completed",),
    "escalated": ("escalated",),
    "needs approval": ("needs_approval",),
    "waiting": ("waiting", "deferred", "running"),
    "refused": ("refused",),
    "failed": ("failed",),
}


@dataclass(frozen=True, slots=True)
class Tile:
    """One number, and the filter that lists its cases."""

    name: str
    cases: int
    statuses: str


@dataclass(frozen=True, slots=True)
class Trend:
    """The cases of each interval: when it began, and for each tile how many came."""

    started: Sequence[int]
    cases: Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class AgentRow:
    """What one agent did."""

    agent: str
    cases: int
    completed: int
    escalated: int
    failed: int
    cost_microusd: int


@dataclass(frozen=True, slots=True)
class Tonight:
    """The page. Times are in UTC."""

    span: Span
    since: datetime
    until: datetime
    cases: int
    cost_microusd: int
    tiles: Sequence[Tile]
    trend: Trend
    agents: Sequence[AgentRow]
    latest: Sequence[FoundCase]


@dataclass(frozen=True, slots=True)
class Attention:
    """What needs a person now. None is what cannot be read now; `problem` says why."""

    waiting: int | None
    soonest: Sequence[Waiting]
    dead_letters: int | None
    lost: int
    halts: Sequence[Halt]
    stages_not_running: Sequence[str]
    lag: int
    problem: str


@page(router, "/tonight")
def tonight(visit: Visiting, span: Annotated[Span, Query()] = "24h") -> Response:
    until = visit.now
    period = Period(until - SPANS[span], until, visit.visitor.agents)
    tallies = tally_cases(visit.console.installation, period, bucket_s(SPANS[span]))
    latest = find_cases(visit.console.installation, CaseQuery(period, limit=LATEST)).cases
    view = Tonight(
        span,
        period.since,
        until,
        sum(one.cases for one in tallies),
        sum(one.cost_microusd for one in tallies),
        tiles(tallies),
        trend(tallies, period, bucket_s(SPANS[span])),
        agent_rows(tallies),
        latest,
    )
    return visit.show("tonight.html", view)


@page(router, "/tonight/attention")
def attention(visit: Visiting) -> Response:
    installation, sees = visit.console.installation, visit.visitor.sees
    try:
        waiting = [one for one in waiting_decisions(installation) if sees(one.agent)]
        found = read_status(installation)
    except Failure as failure:
        return visit.show("attention.html", Attention(None, (), None, 0, (), (), 0, str(failure)))
    soonest = sorted(waiting, key=lambda one: one.expires_at)[:SOONEST]
    return visit.show("attention.html", _attention(waiting, soonest, found, visit.visitor.agents))


def bucket_s(length: timedelta) -> int:
    """The interval of the trend, in seconds."""
    return int(length.total_seconds()) // BUCKETS


def tiles(tallies: Iterable[Tally]) -> list[Tile]:
    """The numbers on top."""
    by_status: Counter[str] = Counter()
    for one in tallies:
        by_status[one.status] += one.cases
    return [Tile(name, sum(by_status[each] for each in of), ",".join(of)) for name, of in TILES.items()]


def trend(tallies: Iterable[Tally], period: Period, step_s: int) -> Trend:
    """Every interval of the period, also those in which nothing came."""
    first = int(period.since.timestamp()) // step_s * step_s
    started = list(range(first, int(period.until.timestamp()) + 1, step_s))
    cases = {name: [0] * len(started) for name in TILES}
    tile_of = {status: name for name, statuses in TILES.items() for status in statuses}
    for one in tallies:
        place = (int(one.started.timestamp()) - first) // step_s
        if one.status in tile_of and 0 <= place < len(started):
            cases[tile_of[one.status]][place] += one.cases
    return Trend(started, cases)


def agent_rows(tallies: Iterable[Tally]) -> list[AgentRow]:
    """The agents, the one with most cases first."""
    by_agent: dict[str, list[Tally]] = {}
    for one in tallies:
        by_agent.setdefault(one.agent, []).append(one)
    rows = [_agent_row(agent, own) for agent, own in by_agent.items()]
    return sorted(rows, key=lambda row: (-row.cases, row.agent))


def _agent_row(agent: str, own: Sequence[Tally]) -> AgentRow:
    counts: Counter[str] = Counter()
    for one in own:
        counts[one.status] += one.cases
    cost = sum(one.cost_microusd for one in own)
    return AgentRow(agent, counts.total(), counts["completed"], counts["escalated"], counts["failed"], cost)


def _attention(
    waiting: Sequence[Waiting], soonest: Sequence[Waiting], found: Status, agents: frozenset[str]
) -> Attention:
    return Attention(
        len(waiting),
        soonest,
        None if found.letters is None else len(found.letters),
        sum(letter.about.records for letter in found.set_aside("lost")),
        [halt for halt in found.halts or () if not agents or halt.agent in {*agents, "*"}],
        [name for name, stage in found.stages.items() if stage.state != "running"],
        sum(stage.lag or 0 for stage in found.stages.values()),
        "",
    )
