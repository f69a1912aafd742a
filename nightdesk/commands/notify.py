"""`nightdesk notify`: the routes of notifications, and a message that tests one.

JSON contract: docs/reference/commands.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer

from nightdesk.bootstrap import build_notifier
from nightdesk.messaging.failures import Failure
from nightdesk.operations.notifications import try_route
from nightdesk.operations.routes import read_routes
from nightdesk.output import Output, OutputOption, print_json, print_line, print_lines, print_rows
from nightdesk.processors.notifications import RouteState
from nightdesk.settings import Settings, load_settings
from nightdesk.settings_sections import RouteSettings

app = typer.Typer(help="List the routes of notifications, and test one.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """List the routes of notifications, and test one."""


@app.command(name="list")
def list_(output: OutputOption = Output.text) -> None:
    """List the routes of the settings with their classes of events: when each last took a message, its last error, and
    what waits. Secrets are not shown.
    """
    settings = load_settings()
    rows = [_row(name, route) for name, route in sorted(settings.notify.items())]
    states = _read(settings) if rows else {}
    if output is Output.json:
        print_json([{**row, "state": None if states is None else _state(states, row["route"])} for row in rows])
        return
    print_rows(rows, output)
    if states is None:
        print_line("what they sent and what waits cannot be read: see `nightdesk doctor`")
    for row in rows:
        if text := str((states or {}).get(row["route"], "")):
            print_lines(("", text))


def _read(settings: Settings) -> Mapping[str, RouteState] | None:
    try:
        return read_routes(settings)
    except Failure:
        return None


def _row(name: str, route: RouteSettings) -> dict[str, Any]:
    return {
        "route": name,
        "channel": route.channel,
        "tell": ", ".join(sorted(route.policy.tell)),
        "agents": ", ".join(sorted(route.policy.agents)) or "all",
        "quiet_hours": f"{route.quiet_hours} {route.time_zone}" if route.quiet_hours else "",
        "otherwise": route.otherwise,
    }


def _state(states: Mapping[str, RouteState], route: str) -> dict[str, Any]:
    return asdict(states.get(route, RouteState(route)))


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
