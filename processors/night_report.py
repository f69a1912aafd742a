"""Summarises a period from its audit records: how each event ended, what waited for how long, and what it cost. Pure.

`nightdesk night` reads the records from ClickHouse, and the simulated nights of `tests/nights` produce their own; the
same functions summarise and print both.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from pydantic import BaseModel

from nightdesk.processors.endings import AuditLine, CaseEnding, Ending, EventEnding, EventKey, WaitPeriod, event_of
from nightdesk.processors.reasons import ReasonCount, Reasons
from nightdesk.schemas.audit import ControlDetail, NotificationDetail
from nightdesk.schemas.audit_kinds import read

# How an event may end so that people ask why; what waits says so with its longest wait.
WITH_REASONS = ("escalated", "refused", "failed", "dead_letter", "dry_run", "ignored", "rejected")


class Order(NamedTuple):
    """An order: a stop, a resume, a promotion, or a stop that a bound would have ordered."""

    time: datetime
    order: str
    agent: str
    issued_by: str
    reason: str


class AgentTotal(NamedTuple):
    """The work of one agent in the period: its cases, its questions to models, and their cost."""

    agent: str
    cases: int
    model_calls: int
    cost_microusd: int


class Impact(NamedTuple):
    """The cases that were completed in the period, what they saved by their charters' baselines, and the part of all
    model cost in it that is for calls without an answer.
    """

    completed: int
    saved_s: int
    saved_microusd: int
    unanswered_microusd: int


class Told(NamedTuple):
    """The messages about one class of events to one route; its channel did not accept `failed` of them."""

    route: str
    event_class: str
    messages: int
    events: int
    failed: int


@dataclass(frozen=True, slots=True)
class NightReport:
    """One period. `ended` counts events by how they ended or what they wait for; `longest_waits` has the longest wait
    for each waiting status, ended or not; `reasons` has the most frequent ones for each status of an event that is
    over and was not completed; `lost` counts events and records of which nothing else is known.
    """

    since: datetime
    until: datetime
    ended: Mapping[str, int]
    longest_waits: Mapping[str, WaitPeriod]
    agents: tuple[AgentTotal, ...]
    orders: tuple[Order, ...]
    lost: int
    impact: Impact
    told: tuple[Told, ...] = ()
    reasons: Mapping[str, tuple[ReasonCount, ...]] = field(default_factory=dict)

    @property
    def events(self) -> int:
        return sum(self.ended.values())

    @property
    def model_calls(self) -> int:
        return sum(agent.model_calls for agent in self.agents)

    @property
    def cost_microusd(self) -> int:
        return sum(agent.cost_microusd for agent in self.agents)


class _Measures(BaseModel):
    """Of a decision's detail, what is counted. The audit store gives no more of it."""

    model_calls: int = 0
    unanswered_microusd: int = 0
    baseline_s: int = 0
    baseline_microusd: int = 0


@dataclass(slots=True)
class _Case:
    """One case so far. Questions and costs before the period are subtracted."""

    agent: str
    ending: CaseEnding
    model_calls_before: int = 0
    model_calls: int = 0
    cost_microusd: int = 0
    unanswered_microusd: int = 0
    is_completed: bool = False
    # Of the last decision: seconds and micro-dollars.
    baseline: tuple[int, int] = (0, 0)

    def add(self, line: AuditLine, since: datetime) -> None:
        self.ending.add(line)
        self.is_completed = self.ending.ended == "completed" and (self.is_completed or line.time >= since)
        detail = read(_Measures, line.detail) if line.kind == "decided" else None
        if detail is None:
            return
        if line.time < since:
            self.model_calls_before = max(self.model_calls_before, detail.model_calls)
        self.model_calls = max(self.model_calls, detail.model_calls)
        self.baseline = detail.baseline_s, detail.baseline_microusd
        if line.time >= since:
            self.cost_microusd += line.cost_microusd
            self.unanswered_microusd += detail.unanswered_microusd


@dataclass(slots=True)
class _Night:
    """The summary of the records so far."""

    since: datetime
    cases: dict[str, _Case] = field(default_factory=dict)
    events: defaultdict[EventKey, EventEnding] = field(default_factory=lambda: defaultdict(EventEnding))
    orders: list[Order] = field(default_factory=list)
    lost: int = 0
    told: dict[tuple[str, str], Told] = field(default_factory=dict)

    def add(self, line: AuditLine) -> None:
        if line.kind == "control":
            self.orders.extend(_orders(line))
        elif line.kind == "notified":
            self._notified(line)
        elif line.kind == "lost":
            self.lost += 1
        elif line.case_id is not None:
            key = EventKey(line.subject, line.event_source, line.event_id)
            case = self.cases.setdefault(line.case_id, _Case(line.agent or "", CaseEnding(key)))
            case.add(line, self.since)
        elif (event := event_of(line)) is not None:
            self.events[event].add(line)

    def _notified(self, line: AuditLine) -> None:
        detail = read(NotificationDetail, line.detail)
        if detail is None or detail.cause != "events":
            return
        key = (detail.route, detail.event_class)
        told = self.told.get(key, Told(*key, 0, 0, 0))
        sent, failed = (1, 0) if detail.sent else (0, 1)
        self.told[key] = Told(*key, told.messages + sent, told.events + sent * detail.count, told.failed + failed)

    def ends(self) -> dict[EventKey, Ending]:
        """How each event ended, and why."""
        by_event: dict[EventKey, list[CaseEnding]] = defaultdict(list)
        for case in self.cases.values():
            by_event[case.ending.event].append(case.ending)
        keys = by_event.keys() | self.events.keys()
        return {key: self.events.get(key, EventEnding()).ended(by_event.get(key, ())) for key in keys}


def night_report(
    lines: Iterable[AuditLine], since: datetime, until: datetime, produced: frozenset[EventKey] = frozenset()
) -> NightReport:
    """Summarise all records of the events that were worked on between `since` and `until`, given in order of time.

    The caller leaves out orders and losses before `since`, and records after `until`. Events in `produced` without a
    record count as lost.
    """
    night = _Night(since)
    for line in lines:
        night.add(line)
    ends = night.ends()
    waits = (wait for case in night.cases.values() for wait in case.ending.waits)
    return NightReport(
        since=since,
        until=until,
        ended=Counter(end.status for end in ends.values()),
        reasons=_reasons(ends.values()),
        longest_waits=_longest(waits, until),
        agents=tuple(_totals(night.cases.values())),
        orders=tuple(night.orders),
        lost=night.lost + len(produced - ends.keys()),
        impact=_impact(night.cases.values()),
        told=tuple(told for _, told in sorted(night.told.items())),
    )


def _reasons(ends: Iterable[Ending]) -> Mapping[str, tuple[ReasonCount, ...]]:
    found: defaultdict[str, Reasons] = defaultdict(Reasons)
    for status, reason in ends:
        if status in WITH_REASONS and reason:
            found[status].add(reason)
    return {status: found[status].most_frequent() for status in WITH_REASONS if status in found}


def _orders(line: AuditLine) -> Iterator[Order]:
    detail = read(ControlDetail, line.detail)
    if detail is not None and detail.order != "installation":  # a start of ours, and no order of a person
        yield Order(line.time, detail.order, line.subject, detail.issued_by, line.reason)


def _longest(waits: Iterable[WaitPeriod], until: datetime) -> dict[str, WaitPeriod]:
    longest: dict[str, WaitPeriod] = {}
    for wait in waits:
        known = longest.get(wait.status)
        if known is None or wait.length(until) > known.length(until):
            longest[wait.status] = wait
    return longest


def _impact(cases: Iterable[_Case]) -> Impact:
    """As the view `impact` adds it up."""
    known = list(cases)
    completed = [case for case in known if case.is_completed]
    return Impact(
        completed=len(completed),
        saved_s=sum(case.baseline[0] for case in completed),
        saved_microusd=sum(case.baseline[1] for case in completed),
        unanswered_microusd=sum(case.unanswered_microusd for case in known),
    )


def _totals(cases: Iterable[_Case]) -> Iterator[AgentTotal]:
    by_agent: dict[str, list[_Case]] = defaultdict(list)
    for case in cases:
        by_agent[case.agent].append(case)
    for agent, own in sorted(by_agent.items()):
        calls = sum(max(case.model_calls - case.model_calls_before, 0) for case in own)
        yield AgentTotal(agent, len(own), calls, sum(case.cost_microusd for case in own))
