"""How commands print what they list: a table for people, JSON for scripts. Called by `nightdesk.commands`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import chain, repeat
from typing import Annotated, Any

import typer

ID_CHARACTERS = 36
SHORT = 13
# What a pipe is: no row is broken for it.
NO_EDGE = 10_000


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


def without_silent(rows: Sequence[dict[str, Any]], silent: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows without the columns that say the same `silent` thing in each of them: a table needs the room."""
    left_out = {name for name, nothing in silent.items() if all(row[name] == nothing for row in rows)}
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    # The first column is what the next command takes. It is never broken, nor is what is short (a time, money): on a
    # narrow terminal the others give way. No text is cut.
    widths = {name: max(len(str(row[name])) for row in rows) for name in rows[0]}
    limits = chain((ID_CHARACTERS,), repeat(SHORT))
    columns = [
        Column(name, overflow="fold", no_wrap=width <= limit)
        for (name, width), limit in zip(widths.items(), limits, strict=False)
    ]
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console = Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else Console(width=NO_EDGE)
    console.print(table)
