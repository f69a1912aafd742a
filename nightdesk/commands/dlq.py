"""`nightdesk dlq list|show|replay|discard`: dead letters.

JSON contract: docs/reference/commands.md. Exit code 3 if no letter matches, 2 if no letter is selected.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nightdesk.commands.dlq_options import takes_choice
from nightdesk.commands.dlq_text import cause_row, document, lines, render, row
from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.dead_letters import causes
from nightdesk.operations.dead_letters.choosing import Choice
from nightdesk.operations.dead_letters.ending import LetterOrder, Verdict
from nightdesk.operations.dead_letters.handling import DeadLetterQueue, How
from nightdesk.output import (
    Output,
    OutputOption,
    print_bytes,
    print_error,
    print_json,
    print_line,
    print_lines,
    print_rows,
)
from nightdesk.progress import long_work
from nightdesk.settings import load_settings

app = typer.Typer(help="List, inspect, replay and discard dead letters.", no_args_is_help=True)


class StateOption(StrEnum):
    """The letters that `list` shows."""

    open = "open"
    replayed = "replayed"
    discarded = "discarded"
    all = "all"


Ids = Annotated[list[str] | None, typer.Argument(help="ids of letters, or their beginnings", metavar="ID")]
Everything = Annotated[bool, typer.Option("--all", help="every open letter")]
ByCause = Annotated[bool, typer.Option("--by-cause", help="one row for each cause, the most frequent first")]
FilterName = Annotated[str, typer.Option("--name", help="a name for the filter, recorded in the audit")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="show what would happen, and change nothing")]


@app.callback()
def root() -> None:
    """List, inspect, replay and discard dead letters."""


@app.command("list")
@takes_choice
def list_letters(
    choice: Choice,
    state: Annotated[StateOption, typer.Option(help="their state")] = StateOption.open,
    by_cause: ByCause = False,
    output: OutputOption = Output.text,
) -> None:
    """List dead letters, the oldest first."""
    found = _dead_letters().select(choice, state.value)
    if by_cause:
        print_rows([cause_row(group) for group in causes.by_cause(found.letters)], output)
        return
    print_rows([row(letter) for letter in found.letters] if output is Output.json else lines(found.letters), output)
    if found.strangers:
        print_error(f"{found.strangers} records there are not dead letters of ours and are skipped")


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(help="the letter's id, or its beginning", metavar="ID")],
    raw: Annotated[str, typer.Option(help="write the original bytes, and nothing else, to a file; - is stdout")] = "",
    output: OutputOption = Output.text,
) -> None:
    """Show one letter in full: the original record, what was attempted, and why it failed."""
    for opened in _dead_letters().open_up(letter_id):
        if raw:
            _write(raw, opened.whole().value or b"")
        elif output is Output.json:
            print_json(document(opened.letter, opened.contents, opened.record))
        else:
            print_lines(render(opened.letter, opened.contents, opened.record))


@app.command()
@takes_choice
def replay(
    choice: Choice,
    ids: Ids = None,
    everything: Everything = False,
    again: Annotated[bool, typer.Option("--again", help="include letters that are already resolved")] = False,
    reason: Annotated[str, typer.Option(help="recorded in the audit")] = "",
    name: FilterName = "",
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Send records to their topic again, unchanged. Nothing that was done already is done twice."""
    state = StateOption.all if again else StateOption.open
    order = _order("replayed", reason, name)
    _end(replace(choice, ids=tuple(ids or ())), state, order, How(everything, dry_run), output)


@app.command()
@takes_choice
def discard(
    choice: Choice,
    reason: Annotated[str, typer.Option(help="why they need not be processed; recorded in the audit")],
    ids: Ids = None,
    everything: Everything = False,
    name: FilterName = "",
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Declare that records need not be processed. Their bytes stay for as long as the topic keeps them."""
    order = _order("discarded", reason, name)
    _end(replace(choice, ids=tuple(ids or ())), StateOption.open, order, How(everything, dry_run), output)


def _order(verdict: Verdict, reason: str, name: str) -> LetterOrder:
    return LetterOrder(verdict, reason, datetime.now(UTC), filter_name=name)


def _end(choice: Choice, state: StateOption, order: LetterOrder, how: How, output: Output) -> None:
    with long_work() as begin:
        done = _dead_letters().end(choice, state.value, order, replace(how, begin=begin))
    dry_run = how.dry_run
    if output is Output.json:
        rows = [row(letter) for letter in done.letters]
        print_json({"verdict": order.verdict, "dry_run": dry_run, "letters": rows})
    else:
        print_rows(lines(done.letters), output)
        print_line(f"{done.ended.done} {'would be ' if dry_run else ''}{order.verdict}")
    done.check_none_gone()


def _dead_letters() -> DeadLetterQueue:
    settings = load_settings()
    return DeadLetterQueue(settings, settings.worker.oversized_dir)


def _write(raw: str, value: bytes) -> None:
    if raw == "-":
        print_bytes(value)
        return
    try:
        Path(raw).write_bytes(value)
    except OSError as error:
        raise Failure(f"cannot write {raw}: {error.strerror}", kind=FailureKind.INVALID) from error
