"""How commands print what they list: a table for people, JSON for scripts. Called by `nightdesk.commands`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

ID_CHARACTERS = 36


class Output(StrEnum):
    text = "text"
    json = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text for people, json for scripts")]


def print_rows(rows: Sequence[dict[str, Any]], output: Output) -> None:
    """Print rows that all have the same keys. JSON: a list of objects on stdout."""
    if output is Output.json:
        print(json.dumps(rows, indent=2, default=str))
    elif rows:
        _print_table(rows)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    # The first column is what the next command takes: on a narrow terminal the others give way. No text is cut.
    first, *others = (Column(name, overflow="fold") for name in rows[0])
    first.min_width = min(ID_CHARACTERS, max(len(str(next(iter(row.values())))) for row in rows))
    table = Table(first, *others, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    Console().print(table)
