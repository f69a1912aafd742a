"""`nightdesk sql`: a question to the audit in ClickHouse's SQL. It can read everything and change nothing."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated

import typer
from clickhouse_connect.driver.client import Client

from nightdesk.clickhouse import clickhouse
from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, print_rows
from nightdesk.settings import load_settings

READ_ONLY = {
    "readonly": 2,  # 1 would refuse even the settings that shape the answer
    "date_time_output_format": "iso",
    "output_format_json_quote_64bit_integers": 0,
}


class SqlOutput(StrEnum):
    text = "text"
    json = "json"
    csv = "csv"
    tsv = "tsv"


def sql(
    query: Annotated[str, typer.Argument(help="one SELECT, SHOW, DESCRIBE or EXPLAIN; - reads it from stdin")],
    output: Annotated[SqlOutput, typer.Option("--output", "-o", help="json is a list of objects")] = SqlOutput.text,
) -> None:
    """Ask ClickHouse. Views: records, cases, decisions, steps, ends, dead_letters, costs_by_day."""
    text = (sys.stdin.read() if query == "-" else query).strip().rstrip(";")
    if not text:
        raise Failure(
            "the query is empty", "Give one, for example: nightdesk sql 'SELECT * FROM cases'", ExitCode.USAGE
        )
    with clickhouse(load_settings().clickhouse) as client:
        match output:
            case SqlOutput.csv:
                sys.stdout.write(_answer(client, text, "CSVWithNames"))
            case SqlOutput.tsv:
                sys.stdout.write(_answer(client, text, "TabSeparatedWithNames"))
            case SqlOutput.json:
                rows = [json.loads(line) for line in _answer(client, text, "JSONEachRow").splitlines()]
                print_rows(rows, Output.json)
            case SqlOutput.text:
                _print_table(_answer(client, text, "JSONCompact"))


def _answer(client: Client, text: str, format_name: str) -> str:
    return client.raw_query(text, fmt=format_name, settings=READ_ONLY).decode(errors="replace")


def _print_table(answer: str) -> None:
    table = json.loads(answer)
    names = [column["name"] for column in table["meta"]]
    print_rows([dict(zip(names, row, strict=True)) for row in table["data"]], Output.text)
    print(f"{table['rows']} rows")
