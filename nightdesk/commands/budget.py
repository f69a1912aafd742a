"""`nightdesk budget show|verify`: where the money is, and whether every micro-dollar is where it should be.

JSON contract: docs/reference/commands.md.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer

from nightdesk.balances import Purse, purses
from nightdesk.books import Books, read_books
from nightdesk.commands.why_text import money
from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, OutputOption, print_rows, without_silent
from nightdesk.settings import load_settings
from processors.reconciliation import Drift

LOOK_AGAIN_AFTER_S = 0.5

app = typer.Typer(help="What the agents may spend, have spent, and whether the books agree.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """What the agents may spend, have spent, and whether the books agree."""


@app.command()
def show(
    agent: Annotated[str, typer.Argument(help="only this one", metavar="[AGENT]")] = "",
    day: Annotated[str, typer.Option(help="today or yesterday, in UTC", metavar="YYYY-MM-DD")] = "",
    output: OutputOption = Output.text,
) -> None:
    """What each agent has spent, holds and has left today, in all and by task."""
    found = purses(load_settings(), _day(day), agent)
    if not found:
        raise Failure(f"no agent {agent!r} is known", "See `nightdesk charter list`", ExitCode.NOT_FOUND)
    if output is Output.json:
        print_rows([asdict(purse) for purse in found], output)
    else:
        print_rows(_lines(found), output)


@app.command()
def verify(
    output: OutputOption = Output.text,
    wait: Annotated[float, typer.Option(help="seconds in which what is on its way may arrive")] = 10.0,
) -> None:
    """Recompute every balance from the log and compare it with the table and with ClickHouse; exit code 1 on drift."""
    books, found = _look(wait)
    if output is Output.json:
        print(json.dumps(_document(books, found), indent=2, default=str))
    else:
        _print(books, found)
    if found:
        raise Failure(f"the books differ about {len(found)} cases", "See `nightdesk why CASE` for each of them")


def _look(wait_s: float) -> tuple[Books, list[Drift]]:
    """The books, and what they differ in however often they are read: a line on its way is no drift."""
    settings = load_settings()
    until = time.monotonic() + wait_s
    books = read_books(settings)
    lasting = books.drifts()
    while lasting and time.monotonic() < until:
        time.sleep(LOOK_AGAIN_AFTER_S)
        books = read_books(settings)
        lasting &= books.drifts()
    return books, sorted(lasting, key=lambda drift: (drift.agent, drift.case_id))


def _day(text: str) -> date:
    """The day that is meant. Of older ones the budget stage has begun to forget."""
    today = datetime.now(UTC).date()
    try:
        day = date.fromisoformat(text) if text else today
    except ValueError:
        raise Failure(f"{text!r} is no day", "Write it as in 2026-11-20", ExitCode.USAGE) from None
    if day < today - timedelta(days=1):
        raise Failure(f"{day} is over", "Ask `nightdesk sql 'SELECT * FROM costs_by_day'`", ExitCode.NOT_FOUND)
    return day


def _lines(found: Sequence[Purse]) -> list[dict[str, Any]]:
    """Rows that can be read at 80 columns: of one agent everybody knows which, and most days lose nothing."""
    return without_silent([_line(purse) for purse in found], {"agent": found[0].agent, "unknown": money(0)})


def _line(purse: Purse) -> dict[str, Any]:
    return {
        "agent": purse.agent,
        "task": purse.task or "all",
        "spent": money(purse.spent_microusd),
        "unknown": money(purse.unknown_microusd),
        "held": money(purse.reserved_microusd),
        "left": None if purse.left_microusd is None else money(purse.left_microusd),
        "a day": None if purse.per_day_microusd is None else money(purse.per_day_microusd),
        "tokens": purse.tokens,
    }


def _document(books: Books, found: list[Drift]) -> dict[str, Any]:
    still_open = [fact for fact in books.facts if fact.state == "open"]
    return {
        "cases": len({*books.log, *books.table, *books.audit}),
        "spent_microusd": sum(cost.microusd for cost in books.log.values()),
        "unknown_microusd": sum(cost.unknown_microusd for cost in books.log.values()),
        "tokens": sum(cost.tokens for cost in books.log.values()),
        "open_reservations": len(still_open),
        "reserved_microusd": sum(fact.reserved_microusd for fact in still_open),
        "log_since": books.since and books.since.isoformat(),
        "drifts": [asdict(drift) for drift in found],
    }


def _print(books: Books, found: list[Drift]) -> None:
    for drift in found:
        table = "forgotten" if drift.table_microusd is None else drift.table_microusd
        says = f"log {drift.log_microusd}, table {table}, audit {drift.audit_microusd}"
        if drift.log_unknown_microusd != drift.table_unknown_microusd is not None:
            says += f"; unknown: log {drift.log_unknown_microusd}, table {drift.table_unknown_microusd}"
        sys.stdout.write(f"drift: {drift.agent} {drift.case_id}: {says} micro-dollars\n")
    document = _document(books, found)
    spent, held = money(document["spent_microusd"]), money(document["reserved_microusd"])
    sys.stdout.write(
        f"cases: {document['cases']}, spent: {spent}, open reservations: {document['open_reservations']} ({held}),"
        f" drift: {len(found)}\n"
    )
    if books.since is not None:
        sys.stdout.write(f"the log begins at {books.since:%Y-%m-%d %H:%M} UTC: what came before cannot be recomputed\n")
