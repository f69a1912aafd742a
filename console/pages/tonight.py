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
from nightdesk.console.visitors import Visitor
from nightdesk.operations.attention import NeedsAPerson, needs_a_person
from nightdesk.operations.case_search import find_cases, tally_cases
from nightdesk.operations.orders import EVERY_AGENT
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
# Each tile with the statuses that it counts, the most important tiles first.
TILES: Mapping[str, tuple[str, ...]] = {
    "completed": ("completed",),
    "escalated": ("escalated",),
    "needs approval": ("needs_approval",),
    "waiting": ("waiting", "deferred", "running"),
    "refused": ("refused",),
    "failed": ("failed",),
    "rejected": ("rejected",),
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
    """What needs a person now. `lag` is None if the broker does not answer; `problem` says why."""

    waiting: int
    soonest: Sequence[Waiting]
    dead_letters: int
    lost: int
    halts: Sequence[Halt]
    stages_not_running: Sequence[str]
    lag: int | None
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
    installation = visit.console.installation
    found = visit.console.needs.get(lambda: needs_a_person(installation))
    return visit.show("attention.html", attention_of(found, visit.visitor))


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


def attention_of(found: NeedsAPerson, visitor: Visitor) -> Attention:
    """The part of `found` that concerns a visitor."""
    waiting = [one for one in found.waiting if visitor.sees(one.agent)]
    letters = [one for one in found.letters if visitor.sees(one.agent)]
    return Attention(
        len(waiting),
        waiting[:SOONEST],
        sum(one.letters for one in letters),
        sum(one.lost for one in letters),
        [halt for halt in found.halts if halt.agent == EVERY_AGENT or visitor.sees(halt.agent)],
        [name for name, stage in found.stages.items() if stage.state != "running"],
        sum(stage.lag for stage in found.stages.values()) if found.stages else None,
        found.problem,
    )
