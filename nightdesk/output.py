"""How commands print: the only module of the command line that writes to stdout and stderr.

Text for people passes through `nightdesk.schemas.foreign_text`, line by line and cell by cell: the text of a ticket can
neither repaint the terminal, nor end a command, nor look like another ticket. JSON and data for scripts keep every
character.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from itertools import chain, repeat
from typing import Annotated, Any, TextIO

import typer

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.schemas.foreign_text import visible, visible_json

ID_CELLS = 36
SHORT_CELLS = 13
BETWEEN_COLUMNS_CELLS = 2


class Output(StrEnum):
    text = "text"
    json = "json"


OutputOption = Annotated[Output, typer.Option("--output", "-o", help="text for people, json for scripts")]


def print_line(line: str = "") -> None:
    """One line for people on stdout. A line break in it is shown as an escape, so it stays one line."""
    _write(sys.stdout, visible(line))


def print_lines(lines: Iterable[str]) -> None:
    """Lines for people on stdout."""
    for line in lines:
        print_line(line)


def print_error(message: str) -> None:
    """A message for people on stderr. Further lines are indented, so that none of them looks like a
    message of its own.
    """
    first, *others = message.split("\n")
    for line in (first, *(f"  {other}" for other in others)):
        _write(sys.stderr, visible(line))


def print_json(document: Any) -> None:
    """A JSON document on stdout. Every value is unchanged; characters that a terminal interprets are escaped as in
    JSON.
    """
    text = json.dumps(document, indent=2, default=str, ensure_ascii=not _is_unicode(sys.stdout))
    for line in text.split("\n"):
        _write(sys.stdout, visible_json(line))


def print_json_line(document: Any) -> None:
    """A JSON document on one line of stdout."""
    _write(sys.stdout, visible_json(json.dumps(document, default=str, ensure_ascii=not _is_unicode(sys.stdout))))


def print_data(data: bytes) -> None:
    """CSV or TSV on stdout: unchanged bytes to a file or a pipe, escaped on a terminal."""
    if not sys.stdout.isatty():
        print_bytes(data)
        return
    for line in data.decode(errors="replace").removesuffix("\n").split("\n"):
        _write(sys.stdout, "\t".join(visible(field) for field in line.split("\t")))


def print_bytes(data: bytes) -> None:
    """Bytes on stdout and nothing else. Raises `Failure` on a terminal, which would interpret them."""
    if sys.stdout.isatty():
        raise Failure("a terminal cannot show raw bytes", "Send them to a file or a pipe", FailureKind.INVALID)
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def print_rows(rows: Sequence[dict[str, Any]], output: Output) -> None:
    """Print rows that all have the same keys. JSON: a list of objects on stdout."""
    if output is Output.json:
        print_json(rows)
    elif rows:
        _print_table(rows)


def without_silent(rows: Sequence[dict[str, Any]], silent: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows without the columns that have the value `silent` in every row, because a table needs the space."""
    left_out = {name for name, nothing in silent.items() if all(row[name] == nothing for row in rows)}
    return [{name: value for name, value in row.items() if name not in left_out} for row in rows]


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    shown = [[_cell(value) for value in row.values()] for row in rows]
    names = [_cell(name) for name in rows[0]]
    widths = [max(cell_len(cell) for cell in column) for column in zip(*shown, strict=True)]
    # The first column is the argument of the next command. It is never wrapped, nor are short values (a time, money):
    # on a narrow terminal the other columns shrink. No text is cut.
    limits = chain((ID_CELLS,), repeat(SHORT_CELLS))
    columns = [
        Column(Text(name), overflow="fold", no_wrap=width <= limit)
        for name, width, limit in zip(names, widths, limits, strict=False)
    ]
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in shown:
        table.add_row(*map(Text, row))  # a `Text` is never parsed as markup, a string is
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        console = Console()
    else:  # a pipe has no width: no row is wrapped for it
        headed = (max(width, cell_len(name)) + BETWEEN_COLUMNS_CELLS for width, name in zip(widths, names, strict=True))
        console = Console(width=sum(headed))
    console.print(table)


def _cell(value: Any) -> str:
    return "" if value is None else _encodable(visible(str(value)), sys.stdout.encoding)


def _write(stream: TextIO, line: str) -> None:
    stream.write(_encodable(line, stream.encoding) + "\n")


def _encodable(text: str, encoding: str | None) -> str:
    """`text` in a form that a stream of this encoding accepts: other characters become escapes and not errors."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _is_unicode(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")
