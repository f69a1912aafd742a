"""The command `nightdesk`. Each command is a module in `nightdesk.commands`, named here, imported when it is called.

To add a command: write `nightdesk/commands/<name>.py` with a function or a `typer.Typer`, and add a line to COMMANDS.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any

import typer
from typer._click import Command as ClickCommand  # typer carries its own click and exports no names for it
from typer._click import Context, HelpFormatter
from typer.core import TyperGroup

from nightdesk.exits import ExitCode, Failure


@dataclass(frozen=True, slots=True)
class Command:
    """Where a command lives: `attribute` of `module` is a function or a Typer app. `summary` is its help line."""

    module: str
    attribute: str
    summary: str


COMMANDS: dict[str, Command] = {
    "up": Command("nightdesk.commands.up", "up", "Start the local stack, run the example day, keep running."),
    "worker": Command("nightdesk.commands.worker", "worker", "Run one or more stages: ingest budget decide act later."),
    "sink": Command("nightdesk.commands.sink", "sink", "Carry audit records into ClickHouse."),
    "produce": Command("nightdesk.commands.produce", "produce", "Send events from a file of JSON lines or from stdin."),
    "why": Command("nightdesk.commands.why", "why", "Tell what was done about a ticket, why, and what it cost."),
    "sql": Command("nightdesk.commands.sql", "sql", "Ask ClickHouse."),
    "status": Command("nightdesk.commands.status", "status", "Say where things run and how far behind each stage is."),
    "approvals": Command("nightdesk.commands.approvals", "app", "What waits for a person, and the person's answer."),
    "budget": Command("nightdesk.commands.budget", "app", "What agents spend, and whether the books agree."),
    "dlq": Command("nightdesk.commands.dlq", "app", "What could not be done, why, and what becomes of it."),
    "pause": Command("nightdesk.commands.switches", "pause", "Let an agent do nothing more until resume."),
    "resume": Command("nightdesk.commands.switches", "resume", "Let an agent act again."),
    "stop-all": Command("nightdesk.commands.switches", "stop_all", "Let no agent do anything more until resume '*'."),
    "charter": Command("nightdesk.commands.charter", "app", "Check, list and apply charters."),
    "topics": Command("nightdesk.commands.topics", "app", "Create the topics that are missing."),
    "schemas": Command("nightdesk.commands.schemas", "app", "Register the schemas."),
    "migrate": Command("nightdesk.commands.migrate", "migrate", "Bring ClickHouse's tables up to date."),
    "doctor": Command("nightdesk.commands.doctor", "doctor", "Check that this machine and the services are fit."),
    "version": Command("nightdesk.commands.version", "version", "Print the version."),
}

HELP = """An event becomes a checked, executed, explained decision.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nothing found, 4 a service cannot be reached, 5 not ready,
6 not configured. Errors are one line on stderr that says what to do."""


class LazyGroup(TyperGroup):
    """Imports a command's module only when that command is asked for: `nightdesk version` loads no Kafka client."""

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
    """Only here so that the group exists before any command is loaded."""


def main() -> None:
    """The entry point of the `nightdesk` script."""
    try:
        app(prog_name="nightdesk")
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(failure.code)
    except BrokenPipeError:
        sys.exit(ExitCode.FAILED)
