"""The command `nightdesk`. Each command is a module in `nightdesk.commands`, listed here and imported when it is
called.

To add a command, write `nightdesk/commands/<name>.py` with a function or a `typer.Typer`, and add a line to COMMANDS.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from typer._click import Command as ClickCommand  # typer includes its own click and exports no names for it
from typer._click import Context, HelpFormatter
from typer.core import TyperGroup

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.output import print_error


@dataclass(frozen=True, slots=True)
class Command:
    """A command: `attribute` of `module` is a function or a Typer app. `summary` is its help line."""

    module: str
    attribute: str
    summary: str


COMMANDS: dict[str, Command] = {
    "up": Command("nightdesk.commands.up", "up", "Start the local stack, process the example day, keep running."),
    "worker": Command("nightdesk.commands.worker", "worker", "Run one or more stages of the pipeline."),
    "sink": Command("nightdesk.commands.sink", "sink", "Write audit records to ClickHouse."),
    "console": Command("nightdesk.commands.console", "console", "Answer the web console."),
    "produce": Command("nightdesk.commands.produce", "produce", "Send events from a file of JSON lines or from stdin."),
    "why": Command("nightdesk.commands.why", "why", "Show what was done about a ticket, why, and what it cost."),
    "cases": Command("nightdesk.commands.cases", "app", "List cases by status, and rejected events."),
    "night": Command("nightdesk.commands.night", "night", "Show in one table what happened last night."),
    "events": Command("nightdesk.commands.events", "app", "Offer events again of which no case was made."),
    "export": Command("nightdesk.commands.export", "export", "Export decisions with people's verdicts as a data set."),
    "audit": Command("nightdesk.commands.audit", "app", "Verify the audit in ClickHouse."),
    "sql": Command("nightdesk.commands.sql", "sql", "Ask ClickHouse."),
    "status": Command(
        "nightdesk.commands.status", "status", "Show the endpoints, the workers and the lag of each stage."
    ),
    "approvals": Command(
        "nightdesk.commands.approvals", "app", "List, show and answer decisions that wait for a person."
    ),
    "follow-ups": Command("nightdesk.commands.follow_ups", "app", "List and cancel follow-ups that are to come."),
    "budget": Command("nightdesk.commands.budget", "app", "Show, verify and correct what agents spend."),
    "notify": Command("nightdesk.commands.notify", "app", "List the routes of notifications, and test one."),
    "dlq": Command("nightdesk.commands.dlq", "app", "List, inspect, replay and discard dead letters."),
    "pause": Command("nightdesk.commands.switches", "pause", "Stop an agent from acting until it is resumed."),
    "resume": Command("nightdesk.commands.switches", "resume", "Let a paused agent act again."),
    "stop-all": Command("nightdesk.commands.switches", "stop_all", "Stop every agent until resume '*'."),
    "stop": Command("nightdesk.commands.stop", "app", "Verify that an order to stop is followed."),
    "anomalies": Command("nightdesk.commands.anomalies", "app", "Try a charter's anomaly bounds on past cases."),
    "charter": Command("nightdesk.commands.charter", "app", "Check, list and apply charters."),
    "topics": Command("nightdesk.commands.topics", "app", "Create missing topics."),
    "schemas": Command("nightdesk.commands.schemas", "app", "Register the schemas."),
    "migrate": Command("nightdesk.commands.migrate", "migrate", "Bring ClickHouse's tables and views up to date."),
    "users": Command("nightdesk.commands.users", "app", "Create ClickHouse's users with the rights that each needs."),
    "forget": Command("nightdesk.commands.forget", "forget", "Delete the audit of a subject, for good."),
    "doctor": Command("nightdesk.commands.doctor", "doctor", "Check this machine and the services."),
    "version": Command("nightdesk.commands.version", "version", "Print the version."),
}

HELP = """An event becomes a checked, executed, explained decision.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing found, 4 a service cannot be reached, 5 not ready,
6 not configured, 7 records were lost, 8 a call started after an order to stop. An error is one line on stderr that says
what to do."""


class LazyGroup(TyperGroup):
    """Imports a command's module only when that command is called: `nightdesk version` loads no Kafka client."""

    def list_commands(self, ctx: Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> ClickCommand | None:
        command = COMMANDS.get(cmd_name)
        return None if command is None else _load(cmd_name, command)

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])


def _load(name: str, command: Command) -> ClickCommand:
    target: Any = getattr(importlib.import_module(command.module), command.attribute)
    if not isinstance(target, typer.Typer):
        app = typer.Typer(add_completion=False)
        app.command(name=name, help=target.__doc__ or command.summary)(target)
        target = app
    loaded = typer.main.get_command(target)
    loaded.name = name
    return loaded


app = typer.Typer(
    cls=LazyGroup,
    help=HELP,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def root() -> None:
    """Creates the group before any command is loaded."""


def main() -> None:
    """The entry point of the `nightdesk` script."""
    if sys.getfilesystemencoding() != "utf-8":  # LC_ALL=C: names of files and our output may have any character
        os.execv(sys.executable, [sys.executable, "-X", "utf8", "-m", "nightdesk", *sys.argv[1:]])  # noqa: S606
    _open_closed_streams()
    try:
        app(prog_name="nightdesk")
    except Failure as failure:
        print_error(f"error: {failure}")
        sys.exit(EXIT_CODES[failure.kind])
    except BrokenPipeError:
        sys.exit(EXIT_CODES[FailureKind.FAILED])


def _open_closed_streams() -> None:
    """Give a process that was started with a closed stdin, stdout or stderr an empty one in its place."""
    if sys.stdin is None:
        sys.stdin = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 - open until the process ends
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as above
