"""Ask: one read of the audit in SQL, as a table, as JSON, or as CSV for a spreadsheet."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from nightdesk.console.frame import Page, SeeingEverything, page
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.sql import Bounds, sql_reader

router = APIRouter()
PAGE = Page("ask", "Ask", "s", router, every_agent=True)

SHOWN = Bounds(rows=1_000, seconds=20)
EXPORTED = Bounds(rows=1_000_000, seconds=60)
EXAMPLES: Sequence[tuple[str, str]] = (
    (
        "How did last night go?",
        "SELECT status, count() AS cases, sum(cost_microusd) / 1e6 AS usd\nFROM cases\n"
        "WHERE received_at > now() - INTERVAL 12 HOUR\nGROUP BY status ORDER BY cases DESC",
    ),
    (
        "Is anything stuck?",
        "SELECT subject, event_id, status, received_at FROM ends\n"
        "WHERE state = 'running' AND received_at < now() - INTERVAL 10 MINUTE",
    ),
    (
        "Which rule stops most decisions?",
        "SELECT JSONExtractString(verdict, 'rule') AS rule, count() AS stopped\n"
        "FROM decisions ARRAY JOIN JSONExtractArrayRaw(verdicts) AS verdict\n"
        "WHERE NOT JSONExtractBool(verdict, 'passed') AND decided_at > now() - INTERVAL 7 DAY\n"
        "GROUP BY rule ORDER BY stopped DESC",
    ),
    (
        "Which handler fails?",
        "SELECT handler, status, count() AS steps, quantile(0.99)(latency_ms) AS p99_ms\nFROM steps\n"
        "WHERE recorded_at > now() - INTERVAL 7 DAY\nGROUP BY handler, status ORDER BY handler, status",
    ),
    ("What does each agent cost a day?", "SELECT * FROM costs_by_day ORDER BY day DESC, agent LIMIT 60"),
)


@dataclass(frozen=True, slots=True)
class Answered:
    """The page. Without a question there are only examples; `problem` says why there is no answer."""

    sql: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    is_cut: bool
    problem: str
    examples: Sequence[tuple[str, str]] = EXAMPLES


@page(router, "/ask")
def ask(visit: SeeingEverything, sql: str = "") -> Response:
    if not sql.strip():
        return visit.show("ask.html", Answered(sql, (), (), False, ""))
    try:
        with sql_reader(visit.console.installation, sql, SHOWN) as reader:
            table = json.loads(reader.answer("JSONCompact").decode(errors="replace"))
    except Failure as failure:
        if failure.kind in (FailureKind.FAILED, FailureKind.INVALID):  # what ClickHouse says of the question
            return visit.show("ask.html", Answered(sql, (), (), False, str(failure)), HTTPStatus.BAD_REQUEST)
        raise
    columns, rows = [column["name"] for column in table["meta"]], table["data"]
    return visit.show("ask.html", Answered(sql, columns, rows[: SHOWN.rows], len(rows) > SHOWN.rows, ""))


@router.get("/ask.csv")
def export(visit: SeeingEverything, sql: str) -> Response:
    with sql_reader(visit.console.installation, sql, EXPORTED) as reader:
        content = reader.answer("CSVWithNames")
    name = {"Content-Disposition": 'attachment; filename="answer.csv"'}
    return Response(content, media_type="text/csv; charset=utf-8", headers=name)
