"""Runs a query on the audit in ClickHouse's SQL, which may only read tables and views.

It runs as the reading user of the settings, whose rights decide on a server. A statement that is not a read, according
to ClickHouse's own parser, is refused before it runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from clickhouse_connect.driver.client import Client

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.sinks.clickhouse.connection import ANSWER_TIMEOUT_S
from nightdesk.sinks.clickhouse.statements import READER_LIMITS, why_not_a_read

READ_ONLY: dict[str, str | int] = {
    "readonly": 2,  # 1 would refuse even the settings that shape the answer
    # Less than the client's timeout. After that, the server would go on working, and nobody would learn why.
    "max_execution_time": ANSWER_TIMEOUT_S - 10,
    "date_time_output_format": "iso",
    "output_format_json_quote_64bit_integers": 0,
}
AS_LINES = {"X-ClickHouse-Format": "JSONEachRow"}

Format = Literal["CSVWithNames", "TabSeparatedWithNames", "JSONEachRow", "JSONCompact"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that an answer may take. It is cut after `rows` at a block's end, and fails after `seconds`."""

    rows: int
    seconds: int

    def settings(self) -> dict[str, str | int]:
        return {
            "max_result_rows": self.rows,
            "result_overflow_mode": "break",
            "max_execution_time": self.seconds,
        }


@dataclass(frozen=True, slots=True)
class SqlReader:
    """One query that was checked to be a read. `answer` runs it."""

    client: Client
    query: str
    settings: Mapping[str, str | int]

    def answer(self, format_name: Format) -> bytes:
        """ClickHouse's answer in one of its formats. Raises what the client raises."""
        return self.client.raw_query(self.query, fmt=format_name, settings=dict(self.settings))


@contextmanager
def sql_reader(installation: Installation, query: str, bounds: Bounds | None = None) -> Iterator[SqlReader]:
    """A reader for the block. Raises `Failure` for a statement that is not a read or that would lift its own bounds,
    and for ClickHouse's errors in the block.
    """
    settings = READ_ONLY if bounds is None else READ_ONLY | bounds.settings()
    limits = {name: value for name, value in settings.items() if name.startswith("max_") and isinstance(value, int)}
    text = query.strip().rstrip(";")
    if not text:
        raise Failure(
            "the query is empty", "Give one, for example: nightdesk sql 'SELECT * FROM cases'", FailureKind.INVALID
        )
    with clickhouse(installation.clickhouse) as client:
        wrong = why_not_a_read(text, lambda question: _column(client, question), {**READER_LIMITS, **limits})
        if wrong is not None:
            remedy = "Give one SELECT, SHOW, DESCRIBE or EXPLAIN over tables and views"
            raise Failure(f"ClickHouse: refused, {wrong}", remedy)
        yield SqlReader(client, text, settings)


def _column(client: Client, question: str) -> list[str]:
    # The format is set by a header, because after EXPLAIN AST a FORMAT belongs to the explained statement.
    lines = client.raw_query(question, settings=READ_ONLY, transport_settings=AS_LINES).splitlines()
    return [str(value) for line in lines for value in json.loads(line).values()]
