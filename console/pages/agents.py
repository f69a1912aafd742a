"""Agents: the charter in force, its versions and what changed between them, budgets and limits, pause and resume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, get_args
from urllib.parse import quote

from fastapi import APIRouter, Form
from fastapi.responses import Response
from pydantic import BaseModel

from nightdesk.console.formats import duration
from nightdesk.console.frame import Changing, Page, Visit, Visiting, changing, page
from nightdesk.console.visitors import Role
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.agents import Agent, CharterVersion, as_yaml, changes, read_agent, read_agents
from nightdesk.operations.balances import ScopeBalance, scope_balances
from nightdesk.operations.halted_decisions import HaltedDecisions, halted_decisions
from nightdesk.operations.orders import EVERY_AGENT, By, switch
from nightdesk.operations.persons import of_a_person
from nightdesk.operations.promotions import promote
from nightdesk.operations.waiting_steps import WaitingGroup, waiting_steps
from nightdesk.processors.quantities import DurationSeconds, Rate
from nightdesk.schemas.persons import shown_order

router = APIRouter()
PAGE = Page("agents", "Agents", "e", router)

IS_A_DURATION = get_args(DurationSeconds)[1]


@dataclass(frozen=True, slots=True)
class Gauge:
    """How much of a day's budget is spent and held. `scope` is empty for the whole day."""

    scope: str
    day: str
    spent_microusd: int
    held_microusd: int
    unknown_microusd: int
    per_day_microusd: int | None


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent in the list."""

    agent: str
    version: str
    mode: str
    halts: Sequence[str]
    gauges: Sequence[Gauge]


@dataclass(frozen=True, slots=True)
class Agents:
    """The page. `may_stop_all`: the visitor may stop every agent, or let them go on."""

    agents: Sequence[AgentRow]
    every_agent_halted: Sequence[str]
    may_stop_all: bool


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a charter, with what changed since the one before it, line by line."""

    version: str
    issued_by: str
    applied_at: datetime
    is_in_force: bool
    changes: Sequence[str]


@dataclass(frozen=True, slots=True)
class AgentView:
    """The page of one agent. What cannot be read is None."""

    row: AgentRow
    charter: str
    limits: dict[str, str]
    versions: Sequence[Version]
    waiting: Sequence[WaitingGroup]
    held_back: Sequence[HaltedDecisions]
    may_order: bool


@page(router, "/agents")
def list_agents(visit: Visiting) -> Response:
    agents = [agent for agent in read_agents(visit.console.installation) if visit.visitor.sees(agent.name)]
    balances = scope_balances(visit.console.installation, "", visit.now) if agents else []
    of_all = {shown_order(halt) for agent in agents for halt in agent.halts if halt.agent == EVERY_AGENT}
    rows = [_row(agent, balances) for agent in agents]
    return visit.show("agents.html", Agents(rows, sorted(of_all), visit.visitor.may(Role.operator)))


@page(router, "/agents/{name}")
def show_agent(visit: Visiting, name: str) -> Response:
    if not visit.visitor.sees(name):
        raise Failure(f"{name!r} is none of your agents", "", FailureKind.NOT_FOUND)
    installation = visit.console.installation
    agent = read_agent(installation, name)
    view = AgentView(
        _row(agent, scope_balances(installation, "", visit.now, name)),
        as_yaml(next((one.content for one in agent.versions if one.version == agent.promoted), "{}")),
        _limits(agent),
        list(reversed(list(versions(agent.versions, agent.promoted)))),
        [one for one in waiting_steps(installation) if one.agent == name],
        [one for one in halted_decisions(installation) if one.agent == name],
        visit.visitor.may(Role.operator, name),
    )
    return visit.show("agent.html", view)


@changing(router, "/agents/{name}/orders")
def order(
    visit: Changing,
    name: str,
    kind: Annotated[Literal["pause", "resume"], Form()],
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Pause one agent, or let it go on."""
    visit.visitor.check(Role.operator, name)
    if name == EVERY_AGENT:
        raise Failure(
            "the address names no single agent", "Stop or resume every agent on the page Agents", FailureKind.INVALID
        )
    return _give(visit, kind, name, reason, f"/agents/{quote(name)}")


@changing(router, "/agents/{name}/charter")
def put_in_force(
    visit: Changing, name: str, version: Annotated[str, Form()], reason: Annotated[str, Form()] = ""
) -> Response:
    """Let new cases start with another known version of the charter."""
    visit.visitor.check(Role.operator, name)
    promote(visit.console.installation, {name: version}, _by(visit, reason))
    return visit.done(f"/agents/{quote(name)}")


@changing(router, "/agents")
def order_all(
    visit: Changing,
    kind: Annotated[Literal["stop_all", "resume"], Form()],
    sure: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Stop every agent, or let them go on."""
    visit.visitor.check(Role.operator)
    if not sure:
        raise Failure("nobody confirmed that every agent is meant", "Tick the box that says so", FailureKind.INVALID)
    return _give(visit, kind, EVERY_AGENT, reason, "/agents")


def _give(visit: Visit, kind: Literal["pause", "resume", "stop_all"], agent: str, reason: str, then: str) -> Response:
    switch(visit.console.installation, kind, agent, _by(visit, reason))
    return visit.done(then)


def _by(visit: Visit, reason: str) -> By:
    person = visit.visitor.person
    return By(reason.strip(), of_a_person(person.name), person.login)


def _row(agent: Agent, balances: Sequence[ScopeBalance]) -> AgentRow:
    return AgentRow(
        agent.name,
        agent.promoted,
        "" if agent.charter is None else agent.charter.mode,
        [shown_order(halt) for halt in agent.halts],
        [_gauge(one) for one in balances if one.agent == agent.name],
    )


def _gauge(balance: ScopeBalance) -> Gauge:
    return Gauge(
        balance.scope,
        balance.day,
        balance.spent_microusd,
        balance.reserved_microusd,
        balance.unknown_microusd,
        balance.per_day_microusd,
    )


def _limits(agent: Agent) -> dict[str, str]:
    """The limits and bounds of the charter in force, as they stand in it."""
    if agent.charter is None:
        return {}
    return {name: text for part in (agent.charter.limits, agent.charter.bounds) for name, text in _of_part(part)}


def _of_part(part: BaseModel) -> Iterator[tuple[str, str]]:
    for name, field in type(part).model_fields.items():
        value, label = getattr(part, name), name.replace("_", " ")
        if isinstance(value, Mapping):
            yield from ((f"{label}: {key}", _as_text(one)) for key, one in value.items())
        elif value is not None:
            yield label, duration(value) if IS_A_DURATION in field.metadata else _as_text(value)


def _as_text(value: object) -> str:
    return f"{value.count} per {duration(value.per_seconds)}" if isinstance(value, Rate) else str(value)


def versions(found: Sequence[CharterVersion], promoted: str) -> Iterator[Version]:
    """Each version with what changed since the one before it."""
    before = ""
    for one in found:
        yield Version(
            one.version,
            one.issued_by,
            one.applied_at,
            one.version == promoted,
            changes(before, one.content) if before else [],
        )
        before = one.content
