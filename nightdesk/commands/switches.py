"""`nightdesk pause AGENT`, `resume AGENT`, `stop-all`: the switches that every stage obeys before each act.

An order is a record on the compacted `control` topic: the last one of an agent stands, across restarts too.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Set
from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from nightdesk.control import give_orders, read_control, record_order
from nightdesk.exits import ExitCode, Failure
from nightdesk.settings import load_settings
from schemas.records import ControlCommand

EVERY_AGENT = "*"

Agent = Annotated[str, typer.Argument(help="the agent's name in its charter; * is every agent", metavar="AGENT")]
Reason = Annotated[str, typer.Option(help="kept with the order, and told where a step waits for it")]


def pause(agent: Agent, reason: Reason = "") -> None:
    """Let an agent do nothing more until `resume`. What it has decided waits, and is done then."""
    _order("pause", agent, reason)


def resume(agent: Agent, reason: Reason = "") -> None:
    """Let an agent act again. `resume '*'` takes back `stop-all`."""
    _order("resume", agent, reason)


def stop_all(reason: Reason = "") -> None:
    """Let no agent do anything more, until `nightdesk resume '*'`."""
    _order("stop_all", EVERY_AGENT, reason)


def _order(kind: Literal["pause", "resume", "stop_all"], agent: str, reason: str) -> None:
    settings = load_settings()
    if agent != EVERY_AGENT:
        _check_known(agent, read_control(settings).agents() - {EVERY_AGENT})
    order = ControlCommand(
        key=agent, kind=kind, agent=agent, reason=reason, issued_by=getpass.getuser(), time=datetime.now(UTC)
    )
    give_orders(settings, [order])
    record_order(settings, order)
    sys.stdout.write(f"{kind}: {'every agent' if agent == EVERY_AGENT else agent}\n")


def _check_known(agent: str, known: Set[str]) -> None:
    """Whoever misspells the agent that must stop has to hear it: the right one would go on."""
    if agent not in known:
        remedy = f"Known are {', '.join(sorted(known))}" if known else "Apply a charter: nightdesk charter apply"
        raise Failure(f"there is no agent {agent}, so no order was given", remedy, ExitCode.NOT_FOUND)
