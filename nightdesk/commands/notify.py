"""`nightdesk notify`: the routes of notifications, and a message that tests one.

JSON contract: docs/reference/commands.md.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from nightdesk.bootstrap import build_notifier
from nightdesk.operations.notifications import try_route
from nightdesk.output import Output, OutputOption, print_json, print_line, print_rows
from nightdesk.settings import load_settings

app = typer.Typer(help="List the routes of notifications, and test one.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """List the routes of notifications, and test one."""


@app.command(name="list")
def list_(output: OutputOption = Output.text) -> None:
    """List the routes of the settings with their classes of events. Secrets are not shown."""
    rows = [
        {
            "route": name,
            "channel": route.channel,
            "tell": ", ".join(sorted(route.policy.tell)),
            "agents": ", ".join(sorted(route.policy.agents)) or "all",
            "quiet_hours": f"{route.quiet_hours} {route.time_zone}" if route.quiet_hours else "",
            "otherwise": route.otherwise,
        }
        for name, route in sorted(load_settings().notify.items())
    ]
    print_rows(rows, output)


@app.command(name="test")
def try_(
    route: Annotated[str, typer.Argument(help="the name of a route, as in NIGHTDESK_NOTIFY__NAME__CHANNEL")],
    output: OutputOption = Output.text,
) -> None:
    """Send a test message to a route, at once."""
    tested = asyncio.run(try_route(build_notifier(load_settings()), route))
    if output is Output.json:
        print_json({"route": tested.route, "key": tested.key, "sent": True})
        return
    print_line(f"{tested.route} took the message {tested.key}")
