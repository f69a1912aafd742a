"""`nightdesk budget show|verify|correct`: shows what agents spend, checks every micro-dollar, and corrects a cost.

JSON contract: docs/reference/commands.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from nightdesk.commands.why_text import clean
from nightdesk.messaging.failures import Failure
from nightdesk.operations.balances import ScopeBalance, scope_balances
from nightdesk.operations.corrections import Correction, microusd
from nightdesk.operations.corrections import correct as correct_step
from nightdesk.operations.ledger_audit import LedgerAudit, verify_ledger
from nightdesk.operations.waiting_steps import waiting_steps
from nightdesk.output import Output, OutputOption, print_json, print_line, print_lines, print_rows, without_silent
from nightdesk.processors.reconciliation import Drift
from nightdesk.schemas.money import money
from nightdesk.settings import load_settings

app = typer.Typer(help="Show, verify and correct what agents spend.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Show, verify and correct what agents spend."""


@app.command()
def show(
    agent: Annotated[str, typer.Argument(help="only this agent", metavar="[AGENT]")] = "",
    day: Annotated[str, typer.Option(help="today, by the budget's time zone, or yesterday", metavar="YYYY-MM-DD")] = "",
    output: OutputOption = Output.text,
) -> None:
    """Show what each agent has spent, reserved and left today, in total and by scope, and what waits in its queue."""
    settings = load_settings()
    found = scope_balances(settings, day, datetime.now(UTC), agent)
    if output is Output.json:
        print_rows([asdict(balance) for balance in found], output)
    else:
        print_rows(_lines(found), output)
        waiting = [str(each) for each in waiting_steps(settings) if agent in ("", each.agent)]
        print_lines(line for each in waiting for line in ("", clean(each)))


@app.command()
def verify(
    output: OutputOption = Output.text,
    wait: Annotated[float, typer.Option(help="seconds to wait for records that are on their way")] = 10.0,
) -> None:
    """Recompute every balance from the log and compare it with the table and with ClickHouse; exit code 1 on drift."""
    ledger_audit, found = verify_ledger(load_settings(), wait)
    if output is Output.json:
        print_json(_document(ledger_audit, found))
    else:
        _print(ledger_audit, found)
    if found:
        raise Failure(f"log, table and audit differ in {len(found)} cases", "See `nightdesk why CASE` for each of them")


@app.command()
def correct(
    agent: Annotated[str, typer.Argument(help="the agent that pays", metavar="AGENT")],
    case: Annotated[str, typer.Argument(help="the case's id, as `nightdesk why` shows it", metavar="CASE")],
    usd: Annotated[str, typer.Option(help="the real cost of the step, in dollars", metavar="AMOUNT")],
    reason: Annotated[str, typer.Option(help="recorded in the audit")],
    person: Annotated[str, typer.Option(help="the person who corrects it", metavar="NAME")] = "",
    step: Annotated[int, typer.Option(help="the step of the case", min=0)] = 0,
) -> None:
    """Set the cost of a step. The last correction counts; the provider's claim stays in the audit."""
    wanted = Correction(agent, case, step, microusd(usd), reason, person)
    before = correct_step(load_settings(), wanted)
    print_line(f"{agent} {case}: counted {money(before.counted_microusd)}, now {money(wanted.microusd)}")


def _lines(found: Sequence[ScopeBalance]) -> list[dict[str, Any]]:
    """Rows that fit 80 columns: columns that are equal in every row are left out."""
    silent = {"agent": found[0].agent, "unknown": money(0)}
    if all(balance.time_zone == "UTC" for balance in found):
        silent["day"] = f"{found[0].day} UTC"
    return without_silent([_line(balance) for balance in found], silent)


def _line(balance: ScopeBalance) -> dict[str, Any]:
    return {
        "agent": balance.agent,
        "day": f"{balance.day} {balance.time_zone}",
        "scope": balance.scope or "all",
        "spent": money(balance.spent_microusd),
        "unknown": money(balance.unknown_microusd),
        "held": money(balance.reserved_microusd),
        "left": None if balance.left_microusd is None else money(balance.left_microusd),
        "a day": None if balance.per_day_microusd is None else money(balance.per_day_microusd),
        "tokens": balance.tokens,
    }


def _document(ledger_audit: LedgerAudit, found: list[Drift]) -> dict[str, Any]:
    return {
        **asdict(ledger_audit.totals()),
        "log_since": ledger_audit.since and ledger_audit.since.isoformat(),
        "drifts": [asdict(drift) for drift in found],
    }


def _print(ledger_audit: LedgerAudit, found: list[Drift]) -> None:
    for drift in found:
        table = "forgotten" if drift.table_microusd is None else money(drift.table_microusd)
        says = f"log {money(drift.log_microusd)}, table {table}, audit {money(drift.audit_microusd)}"
        if (in_table := drift.table_unknown_microusd) is not None and drift.log_unknown_microusd != in_table:
            says += f"; unknown: log {money(drift.log_unknown_microusd)}, table {money(in_table)}"
        print_line(f"drift: {drift.agent} {drift.case_id}: {says}")
    totals = ledger_audit.totals()
    print_line(
        f"cases: {totals.cases}, spent: {money(totals.spent_microusd)},"
        f" open reservations: {totals.open_reservations} ({money(totals.reserved_microusd)}),"
        f" drift: {len(found)}"
    )
    if ledger_audit.since is not None:
        print_line(f"the log begins at {ledger_audit.since:%Y-%m-%d %H:%M} UTC: earlier costs cannot be recomputed")
