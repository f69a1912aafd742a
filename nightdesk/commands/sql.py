"""`nightdesk sql`: queries the audit in ClickHouse's SQL."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer

from nightdesk.operations.sql import sql_reader
from nightdesk.output import Output, print_data, print_line, print_rows
from nightdesk.settings import load_settings


class SqlOutput(StrEnum):
    text = "text"
    json = "json"
    csv = "csv"
    tsv = "tsv"


def sql(
    query: Annotated[str, typer.Argument(help="one SELECT, SHOW, DESCRIBE or EXPLAIN; - reads it from stdin")],
    output: Annotated[SqlOutput, typer.Option("--output", "-o", help="json is a list of objects")] = SqlOutput.text,
) -> None:
    """Query ClickHouse. Views: records, cases, decisions, steps, ends, dead_letters, costs_by_day, impact."""
    with sql_reader(load_settings(), sys.stdin.read() if query == "-" else query) as reader:
        match output:
            case SqlOutput.csv:
                print_data(reader.answer("CSVWithNames"))
            case SqlOutput.tsv:
                print_data(reader.answer("TabSeparatedWithNames"))
            case SqlOutput.json:
                lines = reader.answer("JSONEachRow").splitlines()  # of bytes: splits at line ends only
                print_rows([json.loads(line.decode(errors="replace")) for line in lines], Output.json)
            case SqlOutput.text:
                _print_table(reader.answer("JSONCompact"))


def _print_table(answer: bytes) -> None:
    table = json.loads(answer.decode(errors="replace"))
    names = [column["name"] for column in table["meta"]]
    print_rows([dict(zip(names, row, strict=True)) for row in table["data"]], Output.text)
    print_line(f"{table['rows']} rows")
