"""`nightdesk pause AGENT`, `resume AGENT`, `stop-all`: orders that every stage checks before each action.

An order is a record on the compacted `control` topic: the last one of an agent is in force, across restarts too.
"""

from __future__ import annotations

from typing import Annotated

import typer

from nightdesk.commands.stop import Timeout, after_the_order, held_back_rows
from nightdesk.operations.halted_decisions import halted_decisions, held_back_text
from nightdesk.operations.orders import EVERY_AGENT, By, SwitchKind, switch
from nightdesk.operations.persons import claimed_name
from nightdesk.output import Output, OutputOption, print_json, print_line
from nightdesk.settings import Settings, load_settings

Agent = Annotated[str, typer.Argument(help="the agent's name in its charter; * is every agent", metavar="AGENT")]
WaitOption = Annotated[
    bool,
    typer.Option("--wait", help="wait until every worker follows the order, and show from which offsets nothing acted"),
]
Reason = Annotated[str, typer.Option(help="stored with the order, and shown for each step that waits")]


def pause(
    agent: Agent,
    reason: Reason = "",
    wait: WaitOption = False,
    timeout: Timeout = 30.0,
    output: OutputOption = Output.text,
) -> None:
    """Stop an agent from acting and asking models until it is resumed. Its cases wait, except for escalations."""
    settings = _order("pause", agent, reason, output if not wait else None)
    if wait:
        after_the_order(settings, agent, timeout, output)


def resume(agent: Agent, reason: Reason = "") -> None:
    """Let a paused agent act again. `resume '*'` cancels `stop-all`."""
    _order("resume", agent, reason)


def stop_all(
    reason: Reason = "", wait: WaitOption = False, timeout: Timeout = 30.0, output: OutputOption = Output.text
) -> None:
    """Stop every agent from acting and from asking models, until `nightdesk resume '*'`.

    Escalations to a person wait, too. The output counts the waiting decisions.
    """
    settings = _order("stop_all", EVERY_AGENT, reason, output if not wait else None)
    if wait:
        after_the_order(settings, EVERY_AGENT, timeout, output)


def _order(kind: SwitchKind, agent: str, reason: str, told: Output | None = Output.text) -> Settings:
    """Give the order, and print it unless the caller prints more."""
    settings = load_settings()
    order = switch(settings, kind, agent, By(reason, claimed_name()))
    held_back = halted_decisions(settings) if told is not None and kind == "stop_all" else None
    if told is Output.json:
        document = order.model_dump(include={"kind", "agent", "reason", "issued_by", "time"})
        print_json(document if held_back is None else {**document, "held_back": held_back_rows(held_back)})
    elif told is Output.text:
        print_line(f"{kind}: {'every agent' if agent == EVERY_AGENT else agent}")
        if held_back is not None:
            print_line(
                f"escalations to a person wait too. Now {held_back_text(held_back)}; `nightdesk status` counts them"
            )
    return settings
