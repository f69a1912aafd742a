"""`nightdesk charter check|schema|apply`: for people who write charters, and for their CI.

`charter_versions.py` has the commands for the versions that were applied.

JSON contract: `check` prints a list of {file, ok, agent, version, mode, actions, problems: [{line, column, path,
reason}], more_problems, warnings, more_warnings}, where `warnings` are like `problems`: the first 50 of each are
listed, and the numbers say how many more there are; `apply` a
list of {agent, version, mode, promoted, missing_connections}.

A charter is often checked or applied on another machine than the workers', so a connection that the settings of this
machine lack is a warning; `apply --strict` makes it an error.
"""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from nightdesk.commands import charter_versions
from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.charter_checks import CheckedCharter, check_charters, missing_connection
from nightdesk.operations.charters import (
    charter_paths,
    forbidden_connections,
    missing_connections,
    usable_charters,
)
from nightdesk.operations.installation_claim import claim_if_free
from nightdesk.operations.orders import By
from nightdesk.operations.persons import claimed_name
from nightdesk.operations.promotions import apply_charters
from nightdesk.operations.promotions import promote as promote_versions
from nightdesk.output import Output, OutputOption, print_error, print_json, print_lines, print_rows
from nightdesk.processors.charter.schema import charter_schema_text
from nightdesk.settings import Settings, load_settings


class Which(StrEnum):
    """Which cases a charter applies to."""

    new = "new"
    waiting = "waiting"


app = typer.Typer(help="Check, apply, promote and list charters.", no_args_is_help=True)
app.command("list")(charter_versions.list_versions)
app.command()(charter_versions.diff)
app.command()(charter_versions.promote)
app.command()(charter_versions.rollback)
app.command()(charter_versions.retire)


@app.callback()
def root() -> None:
    """Check, apply, promote and list charters."""


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


@app.command()
def apply(
    folder: Annotated[Path | None, typer.Argument(help="A charter, its folder, or a folder of charters")] = None,
    output: OutputOption = Output.text,
    strict: Annotated[
        bool, typer.Option(help="Fail if a charter needs a connection that is not configured here")
    ] = False,
    promote: Annotated[bool, typer.Option("--promote", help="Start new cases with these charters")] = False,
    applies_to: Annotated[
        Which, typer.Option(help="waiting: what these charters restrict counts for running cases, too")
    ] = Which.new,
) -> None:
    """Make these charters known. With --promote new cases start with them; running cases keep theirs.

    Nothing is applied if one charter has problems. Nothing is promoted if a running worker cannot read one. With
    --applies-to waiting the stricter mode, actions, limits, budgets and bounds count for running cases, too, until the
    next charter of the agent is promoted.
    """
    if applies_to is Which.waiting and not promote:
        raise Failure("--applies-to waiting is for --promote", "Give both, or neither", FailureKind.INVALID)
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
    claim_if_free(settings, settings.installation)
    apply_charters(settings, charters)
    if promote:
        by = By("", claimed_name())
        promote_versions(settings, {one.agent: one.version for one in charters}, by, applies_to.value)
    else:
        print_error("not in force yet: nightdesk charter promote AGENT VERSION")
    shown: list[dict[str, Any]] = [
        {"agent": one.agent, "version": one.version, "mode": one.mode, "promoted": promote} for one in charters
    ]
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
