"""`nightdesk follow-ups list|cancel`: events that agents have set for later, and how to cancel one.

JSON contract: `list` prints a list of {timer_id, subject, agent, case_id, event_type, due_at}, the soonest first. Exit
code 3 if there is no future follow-up with the id.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from nightdesk.operations.follow_ups import cancel, list_follow_ups
from nightdesk.output import Output, OutputOption, print_line, print_rows
from nightdesk.settings import load_settings

# The number of characters of a timer's id in `list`.
SHOWN_CHARACTERS = 13

app = typer.Typer(help="List and cancel follow-ups that are to come.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """List and cancel future follow-ups."""


@app.command("list")
def list_(output: OutputOption = Output.text) -> None:
    """List future follow-ups, the soonest first."""
    found = list_follow_ups(load_settings())
    if output is Output.json:
        print_rows([asdict(one) for one in found], output)
    else:
        print_rows(
            [
                {
                    "timer": one.timer_id[:SHOWN_CHARACTERS],
                    "due": one.due_at.strftime("%m-%d %H:%M"),
                    "subject": one.subject,
                    "agent": one.agent,
                    "event": one.event_type,
                }
                for one in found
            ],
            output,
        )


@app.command("cancel")
def cancel_(
    timer: Annotated[str, typer.Argument(help="the timer's id, or its beginning", metavar="TIMER")],
    reason: Annotated[str, typer.Option(help="recorded in the audit")] = "cancelled by hand",
) -> None:
    """Cancel a follow-up before it is due."""
    one = cancel(load_settings(), timer, reason)
    print_line(f"cancelled: {one.event_type} for {one.subject}. See `nightdesk why {one.subject}`")
