"""`nightdesk cases list`: cases by status, and events that were rejected before a case started.

JSON contract: a list of {id, status, agent, subject, event_id, event_type, reason, time}; `id` is the argument for
`nightdesk why`.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from nightdesk.operations.cases import CaseFilter, list_cases, parse_statuses
from nightdesk.operations.times import moment
from nightdesk.output import Output, OutputOption, print_line, print_rows
from nightdesk.settings import load_settings
from nightdesk.sinks.cases import STATUSES, ListedCase

app = typer.Typer(help="List cases by status.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """List cases by status."""


@app.command("list")
def list_(
    status: Annotated[str, typer.Option(help=f"Only these, separated by commas: {', '.join(STATUSES)}")] = "",
    agent: Annotated[str, typer.Option(help="Only cases of this agent")] = "",
    since: Annotated[str, typer.Option(help="2026-11-23T08:00 (UTC), or 2h for two hours ago")] = "24h",
    limit: Annotated[int, typer.Option(help="At most this many, the newest", min=1, max=100_000)] = 50,
    output: OutputOption = Output.text,
) -> None:
    """List cases, the newest first, with the reason and the id for `nightdesk why`.

    `rejected` are events whose data does not match an agent's schema: they have no case.
    """
    wanted = CaseFilter(moment(since, datetime.now(UTC)), parse_statuses(status), agent, limit)
    found = list_cases(load_settings(), wanted)
    if output is Output.json:
        print_rows([asdict(one) for one in found], output)
    elif found:
        print_rows([_line(one) for one in found], output)
    else:
        print_line("no such cases: see `nightdesk cases list --help`")


def _line(one: ListedCase) -> dict[str, str]:
    return {
        "id": one.id,
        "time": one.time.strftime("%m-%d %H:%M"),
        "status": one.status,
        "agent": one.agent or "",
        "subject": one.subject,
        "reason": one.reason,
    }
