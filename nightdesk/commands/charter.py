"""`nightdesk charter check|list|schema|apply`: for people who write charters, and for their CI.

JSON contract: `check` prints a list of {file, ok, agent, version, mode, actions, problems: [{line, column, path,
reason}]}, `list` a list of {file, agent, version, mode, actions, problems}, where `problems` is a number.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nightdesk.charters import charter_file, charter_files, load_charter
from nightdesk.control import charter_orders, give_orders
from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.settings import load_settings
from processors.charter import Charter, CharterInvalid, Problem
from processors.charter.schema import charter_schema_text

app = typer.Typer(help="Check, list and apply charters.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Check, list and apply charters."""


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Charters, or the folders that hold them", metavar="FILE...")],
    output: OutputOption = Output.text,
) -> None:
    """Say what is wrong with charters, each problem as FILE:LINE:COLUMN: reason. Exit code 1 when anything is."""
    rows = [_checked(charter_file(file)) for file in files]
    if output is Output.json:
        sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2) + "\n")
    else:
        for row in rows:
            sys.stdout.write(_as_text(row))
    if not all(row["ok"] for row in rows):
        raise typer.Exit(ExitCode.FAILED)


@app.command("list")
def list_charters(output: OutputOption = Output.text) -> None:
    """The charters in the folder of charters (NIGHTDESK_CHARTERS, `charters` unless set)."""
    folder = load_settings().charters
    rows = [_checked(file) for file in charter_files(folder)]
    if not rows:
        remedy = "Write one, as in docs/charter.md, or set NIGHTDESK_CHARTERS"
        raise Failure(f"there is no charter in {folder}", remedy, ExitCode.NOT_FOUND)
    shown = ("file", "agent", "version", "mode")
    print_rows(
        [
            {key: row[key] for key in shown} | {"actions": ", ".join(row["actions"]), "problems": len(row["problems"])}
            for row in rows
        ],
        output,
    )


@app.command()
def apply(
    folder: Annotated[Path | None, typer.Argument(help="A charter, its folder, or a folder of those")] = None,
    output: OutputOption = Output.text,
) -> None:
    """Let new cases begin with these charters; running cases keep theirs. Nothing is applied when one has problems."""
    settings = load_settings()
    where = folder or settings.charters
    files = charter_files(where) or (charter_file(where),)
    try:
        charters = [load_charter(file) for file in files]
    except CharterInvalid as invalid:
        problem = invalid.problems[0]
        raise Failure(f"line {problem.line}: {problem.reason}", "See `nightdesk charter check FILE`") from None
    give_orders(settings, charter_orders(charters))
    print_rows([{"agent": one.agent, "version": one.version, "mode": one.mode} for one in charters], output)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a charter, for editors."""
    sys.stdout.write(charter_schema_text())


def _checked(file: Path) -> dict[str, Any]:
    try:
        return _row(file, load_charter(file), ())
    except CharterInvalid as invalid:
        return _row(file, None, invalid.problems)


def _row(file: Path, charter: Charter | None, problems: tuple[Problem, ...]) -> dict[str, Any]:
    return {
        "file": str(file),
        "ok": charter is not None,
        "agent": charter.agent if charter else None,
        "version": charter.version if charter else None,
        "mode": charter.mode if charter else None,
        "actions": list(charter.actions) if charter else [],
        "problems": [
            {"line": problem.line, "column": problem.column, "path": problem.path, "reason": problem.reason}
            for problem in problems
        ],
    }


def _as_text(row: dict[str, Any]) -> str:
    if row["ok"]:
        actions = ", ".join(row["actions"])
        return f"{row['file']}: ok: {row['agent']} {row['version']} ({row['mode']}): {actions}\n"
    return "".join(
        f"{row['file']}:{problem['line']}:{problem['column']}: "
        + (f"{problem['path']}: " if problem["path"] else "")
        + f"{problem['reason']}\n"
        for problem in row["problems"]
    )
