"""`nightdesk charter check|list|schema|apply`: for people who write charters, and for their CI.

JSON contract: `check` prints a list of {file, ok, agent, version, mode, actions, problems: [{line, column, path,
reason}], more_problems, warnings, more_warnings}, where `warnings` are like `problems`: the first 50 of each are
listed, and the numbers say how many more there are; `list` a list of {file, agent, version, mode, actions,
problems}, where `problems` is a number; `apply` a list of {agent, version, mode, missing_connections}.

A charter is often checked or applied on another machine than the workers', so a connection that the settings of this
machine lack is a warning; `apply --strict` makes it an error.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.charter_checks import CheckedCharter, check_charters, missing_connection
from nightdesk.operations.charters import (
    charter_files,
    charter_paths,
    forbidden_connections,
    missing_connections,
    usable_charters,
)
from nightdesk.operations.orders import apply_charters
from nightdesk.output import Output, OutputOption, print_error, print_json, print_lines, print_rows
from nightdesk.processors.charter.schema import charter_schema_text
from nightdesk.settings import Settings, load_settings


class Which(StrEnum):
    """Which cases a charter applies to."""

    new = "new"
    waiting = "waiting"


app = typer.Typer(help="Check, list and apply charters.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Check, list and apply charters."""


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Charters, or folders of charters", metavar="FILE...")],
    output: OutputOption = Output.text,
) -> None:
    """Check charters, and print each problem as FILE:LINE:COLUMN: reason. Exit code 1 if there is any.

    Warnings are printed too, and do not fail the check: the charter can be applied.
    """
    paths = [path for file in files for path in charter_paths(file)]
    rows = [_row(checked) for checked in check_charters(paths, _agents(load_settings()))]
    if output is Output.json:
        print_json(rows)
    else:
        for row in rows:
            print_lines(_as_text(row))
    if not all(row["ok"] for row in rows):
        raise typer.Exit(EXIT_CODES[FailureKind.FAILED])


@app.command("list")
def list_charters(output: OutputOption = Output.text) -> None:
    """List the charters in the folder of charters (NIGHTDESK_CHARTERS, by default `charters`)."""
    settings = load_settings()
    folder = settings.charters
    rows = [_row(checked) for checked in check_charters(charter_files(folder), _agents(settings))]
    if not rows:
        remedy = "Write one, as in docs/charter.md, or set NIGHTDESK_CHARTERS"
        raise Failure(f"there is no charter in {folder}", remedy, FailureKind.NOT_FOUND)
    shown = ("file", "agent", "version", "mode")
    print_rows(
        [
            {key: row[key] for key in shown}
            | {"actions": ", ".join(row["actions"]), "problems": len(row["problems"]) + row["more_problems"]}
            for row in rows
        ],
        output,
    )


@app.command()
def apply(
    folder: Annotated[Path | None, typer.Argument(help="A charter, its folder, or a folder of charters")] = None,
    output: OutputOption = Output.text,
    strict: Annotated[
        bool, typer.Option(help="Fail if a charter needs a connection that is not configured here")
    ] = False,
    applies_to: Annotated[
        Which, typer.Option(help="waiting: what these charters restrict counts for running cases, too")
    ] = Which.new,
) -> None:
    """Start new cases with these charters; running cases keep theirs. Nothing is applied if one charter has problems.

    With --applies-to waiting the stricter mode, actions, limits, budgets and bounds count for running cases, too, until
    the next charter of the agent is applied.
    """
    settings = load_settings()
    charters = usable_charters(charter_paths(folder or settings.charters))
    for one in charters:
        for reason in forbidden_connections(one, _agents(settings)).values():
            raise Failure(f"{one.agent}: {reason}", "Nothing was applied")
    missing = {one.agent: missing_connections(one, settings.connections) for one in charters}
    for agent, connections in missing.items():
        for connection, handlers in connections.items():
            print_error(f"warning: {agent}: {missing_connection(connection, handlers)}")
    if strict and any(missing.values()):
        raise Failure("connections are missing, and nothing was applied", "Configure them as for the workers")
    apply_charters(settings, charters, applies_to.value)
    shown: list[dict[str, Any]] = [{"agent": one.agent, "version": one.version, "mode": one.mode} for one in charters]
    if output is Output.json:
        shown = [row | {"missing_connections": list(missing[row["agent"]])} for row in shown]
    print_rows(shown, output)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a charter, for editors."""
    print_lines(charter_schema_text().splitlines())


def _agents(settings: Settings) -> dict[str, frozenset[str]]:
    return {name: connection.agents for name, connection in settings.connections.items()}


def _row(checked: CheckedCharter) -> dict[str, Any]:
    charter = checked.charter
    return {
        "file": str(checked.file),
        "ok": checked.is_ok,
        "agent": charter.agent if charter else None,
        "version": charter.version if charter else None,
        "mode": charter.mode if charter else None,
        "actions": list(charter.actions) if charter else [],
        "problems": [asdict(problem) for problem in checked.problems],
        "more_problems": checked.more_problems,
        "warnings": [asdict(warning) for warning in checked.warnings],
        "more_warnings": checked.more_warnings,
    }


def _counted(row: dict[str, Any]) -> dict[str, Any]:
    return {"actions": ", ".join(row["actions"]), "problems": len(row["problems"]) + row["more_problems"]}


def _as_text(row: dict[str, Any]) -> list[str]:
    lines = [_line(row["file"], problem) for problem in row["problems"]]
    lines += [_line(row["file"], warning, "warning: ") for warning in row["warnings"]]
    more = {"problems": row["more_problems"], "warnings": row["more_warnings"]}
    lines += [f"{row['file']}: and {number} more {what}" for what, number in more.items() if number]
    if row["ok"]:
        actions = ", ".join(row["actions"])
        lines.append(f"{row['file']}: ok: {row['agent']} {row['version']} ({row['mode']}): {actions}")
    return lines


def _line(file: str, problem: dict[str, Any], kind: str = "") -> str:
    path = f"{problem['path']}: " if problem["path"] else ""
    return f"{file}:{problem['line']}:{problem['column']}: {kind}{path}{problem['reason']}"
