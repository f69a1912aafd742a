"""`nightdesk charter list|diff|promote|rollback|retire`: which version of a charter is in force.

JSON contract: `list` prints a list of {agent, version, applied_at, applied_by, in_force}; `diff` an
object {agent, before, after, changes: [line]}; `promote`, `rollback` and `retire` print {agent, version, before},
where `version` is null for a retired agent.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.agents import Agent, CharterVersion, changes, read_agent, read_agents
from nightdesk.operations.orders import By
from nightdesk.operations.persons import claimed_name
from nightdesk.operations.promotions import promote as promote_versions
from nightdesk.operations.promotions import retire as retire_agent
from nightdesk.operations.promotions import roll_back
from nightdesk.output import Output, OutputOption, print_json, print_line, print_lines, print_rows
from nightdesk.schemas.records import ControlCommand
from nightdesk.settings import load_settings

AgentArgument = Annotated[str, typer.Argument(help="The agent")]
ReasonOption = Annotated[str, typer.Option(help="Why, for the audit")]


def list_versions(output: OutputOption = Output.text) -> None:
    """List every version that was applied, and which one is in force for each agent."""
    rows = [_row(agent, version) for agent in read_agents(load_settings()) for version in agent.versions]
    if not rows:
        raise Failure("no charter is applied", "Apply one: nightdesk charter apply FOLDER", FailureKind.NOT_FOUND)
    print_rows(rows, output)


def diff(
    agent: AgentArgument,
    before: Annotated[str, typer.Argument(help="A version; by default the one in force")] = "",
    after: Annotated[str, typer.Argument(help="A version; by default the last that was applied")] = "",
    output: OutputOption = Output.text,
) -> None:
    """Show what changed between two versions of a charter, line by line."""
    found = read_agent(load_settings(), agent)
    old = _version(found, before or found.promoted)
    new = _version(found, after or found.versions[-1].version)
    lines = changes(old.content, new.content)
    if output is Output.json:
        print_json({"agent": agent, "before": old.version, "after": new.version, "changes": lines})
    else:
        print_lines([f"--- {old.version}", f"+++ {new.version}", *lines] if lines else [f"{old.version}: no change"])


def promote(
    agent: AgentArgument,
    version: Annotated[str, typer.Argument(help="A version of `nightdesk charter list`")],
    reason: ReasonOption = "",
    output: OutputOption = Output.text,
) -> None:
    """Start new cases with a version that was applied; running cases keep theirs.

    Refused if a running worker cannot read the version.
    """
    [order] = promote_versions(load_settings(), {agent: version}, By(reason, claimed_name()))
    _show(order, output)


def rollback(agent: AgentArgument, reason: ReasonOption = "", output: OutputOption = Output.text) -> None:
    """Start new cases with the version that was in force before this one, or before the agent was retired."""
    _show(roll_back(load_settings(), agent, By(reason, claimed_name())), output)


def retire(agent: AgentArgument, reason: ReasonOption = "", output: OutputOption = Output.text) -> None:
    """Let an agent take no more events. Its running cases go on; `rollback` brings it back."""
    _show(retire_agent(load_settings(), agent, By(reason, claimed_name())), output)


def _row(agent: Agent, version: CharterVersion) -> dict[str, Any]:
    return {
        "agent": agent.name,
        "version": version.version,
        "applied_at": version.applied_at,
        "applied_by": version.issued_by,
        "in_force": version.version == agent.promoted,
    }


def _version(agent: Agent, name: str) -> CharterVersion:
    for version in agent.versions:
        if version.version == name:
            return version
    wanted = f"no version {name}" if name else "no version in force"
    raise Failure(f"{agent.name} has {wanted}", "See `nightdesk charter list`", FailureKind.NOT_FOUND)


def _show(order: ControlCommand, output: Output) -> None:
    if output is Output.json:
        print_json({"agent": order.agent, "version": order.charter_version, "before": list(order.before)})
    elif order.charter_version:
        print_line(f"{order.agent}: new cases start with {order.charter_version}")
    else:
        print_line(f"{order.agent}: retired, it takes no more events")
