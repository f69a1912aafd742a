"""`nightdesk forget`: deletes the audit of a subject, for good."""

from __future__ import annotations

from typing import Annotated

import typer

from nightdesk.operations.forgetting import forget as forget_subject
from nightdesk.operations.forgetting import known_rows
from nightdesk.output import Output, OutputOption, print_json, print_line
from nightdesk.progress import long_work
from nightdesk.settings import load_settings


def forget(
    subject: Annotated[str, typer.Argument(help="what the events are about: a ticket, a customer")],
    reason: Annotated[str, typer.Option(help="why, for the audit; do not name the subject in it")],
    yes: Annotated[bool, typer.Option("--yes", help="delete; without it only the rows are counted")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Delete every row about a subject from ClickHouse, and keep its past from coming back.

    Who did it is in the audit, with a keyed digest instead of the subject. It cannot be undone.
    """
    settings = load_settings()
    if not yes:
        found = known_rows(settings, subject)
        if output is Output.json:
            print_json({"rows": found})
        else:
            print_line(f"{sum(found.values())} rows would be deleted, of all tables: add --yes")
        return
    with long_work() as begin:
        done = forget_subject(settings, subject, reason, begin)
    if output is Output.json:
        print_json({"digest": done.digest, "rows": done.rows, "remains": done.remains})
        return
    print_line(f"{sum(done.rows.values())} rows are deleted, and no record of it comes back. It remains in:")
    for place in done.remains:
        print_line(f"  {place}")
