"""`nightdesk dlq list|show|replay|discard`: what could not be done, why, and what becomes of it.

JSON contract: docs/reference/commands.md. Exit code 3 where no letter is meant, 2 where nothing says which are.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from nightdesk.commands.dlq_options import takes_choice
from nightdesk.commands.dlq_text import document, lines, row, tell
from nightdesk.dead_letters.choosing import Choice, choose
from nightdesk.dead_letters.ending import Order, Verdict, decoded, end_letters
from nightdesk.dead_letters.reading import read_letters, read_originals
from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, OutputOption, print_rows
from nightdesk.registered_codec import registered_codec
from nightdesk.settings import load_settings

app = typer.Typer(help="What could not be done, why, and what becomes of it.", no_args_is_help=True)


class StateOption(StrEnum):
    """Which letters `list` shows."""

    open = "open"
    replayed = "replayed"
    discarded = "discarded"
    all = "all"


Ids = Annotated[list[str] | None, typer.Argument(help="letters, by the beginnings of their ids", metavar="ID")]
Everything = Annotated[bool, typer.Option("--all", help="every open letter")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would happen, and change nothing")]


@app.callback()
def root() -> None:
    """What could not be done, why, and what becomes of it."""


@app.command("list")
@takes_choice
def list_letters(
    choice: Choice,
    state: Annotated[StateOption, typer.Option(help="what became of them")] = StateOption.open,
    output: OutputOption = Output.text,
) -> None:
    """Dead letters, the oldest first."""
    settings = load_settings()
    with registered_codec(settings) as codec:
        found = read_letters(settings.kafka, codec, choice.topic)
    letters = choose(found.letters, choice, state.value)
    print_rows([row(letter) for letter in letters] if output is Output.json else lines(letters), output)
    if found.strangers:
        print(f"{found.strangers} records there are no letters of ours and are passed over", file=sys.stderr)


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(help="the letter, by the beginning of its id", metavar="ID")],
    raw: Annotated[str, typer.Option(help="write the original bytes, and nothing else, to a file; - is stdout")] = "",
    output: OutputOption = Output.text,
) -> None:
    """One letter, whole: the record as it came, what was attempted, and why it failed."""
    settings = load_settings()
    with registered_codec(settings) as codec:
        found = choose(read_letters(settings.kafka, codec).letters, Choice(ids=(letter_id,)), "all")
        for letter, original in read_originals(settings.kafka, found):
            if raw:
                _write(raw, original.value or b"")
                continue
            record = decoded(letter, original, codec)
            if output is Output.json:
                print(json.dumps(document(letter, original, record), indent=2))
            else:
                print(tell(letter, original, record))


@app.command()
@takes_choice
def replay(
    choice: Choice,
    ids: Ids = None,
    everything: Everything = False,
    again: Annotated[bool, typer.Option("--again", help="also what was replayed or discarded before")] = False,
    reason: Annotated[str, typer.Option(help="kept in the audit")] = "",
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Send records to their topic again, exactly as they came. What was done already is not done twice."""
    state = StateOption.all if again else StateOption.open
    _end(replace(choice, ids=tuple(ids or ())), state, everything, _order("replayed", reason), dry_run, output)


@app.command()
@takes_choice
def discard(
    choice: Choice,
    reason: Annotated[str, typer.Option(help="why they need not be done; kept in the audit")],
    ids: Ids = None,
    everything: Everything = False,
    dry_run: DryRun = False,
    output: OutputOption = Output.text,
) -> None:
    """Say that records need not be done. Their bytes stay for as long as the topic keeps them."""
    order = _order("discarded", reason)
    _end(replace(choice, ids=tuple(ids or ())), StateOption.open, everything, order, dry_run, output)


def _order(verdict: Verdict, reason: str) -> Order:
    return Order(verdict, reason, datetime.now(UTC))


def _end(choice: Choice, state: StateOption, everything: bool, order: Order, dry_run: bool, output: Output) -> None:
    if choice.is_everything and not everything:
        raise Failure("nothing says which letters", "Name ids, give a filter, or say --all", ExitCode.USAGE)
    settings = load_settings()
    with registered_codec(settings) as codec:
        letters = choose(read_letters(settings.kafka, codec, choice.topic).letters, choice, state.value)
        if not letters:
            remedy = "See `nightdesk dlq list --state all`; `replay --again` takes what is not open any more"
            raise Failure("no dead letter of this kind is open", remedy, ExitCode.NOT_FOUND)
        if not dry_run:
            end_letters(settings.kafka, codec, letters, order)
    if output is Output.json:
        rows = [row(letter) for letter in letters]
        print(json.dumps({"verdict": order.verdict, "dry_run": dry_run, "letters": rows}, indent=2))
        return
    print_rows(lines(letters), output)
    print(f"{len(letters)} {'would be ' if dry_run else ''}{order.verdict}")


def _write(raw: str, value: bytes) -> None:
    if raw == "-":
        sys.stdout.buffer.write(value)
        sys.stdout.buffer.flush()
        return
    try:
        Path(raw).write_bytes(value)
    except OSError as error:
        raise Failure(f"cannot write {raw}: {error.strerror}", code=ExitCode.USAGE) from error
