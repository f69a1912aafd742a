"""`nightdesk console`: the process that answers the web console."""

from __future__ import annotations

from typing import Annotated

import typer

from nightdesk.console.app import build, serve
from nightdesk.console.visitors import digest, new_token
from nightdesk.logs import configure_logging
from nightdesk.operations.dead_letters.handling import DeadLetterQueue
from nightdesk.output import print_line
from nightdesk.settings import load_settings


def console(
    token: Annotated[
        bool, typer.Option("--new-token", help="print a new token and its line for the token file")
    ] = False,
) -> None:
    """Answer the web console until SIGTERM. Without a token file: on loopback only, for whoever starts it."""
    if token:
        _print_token()
        return
    settings = load_settings()
    configure_logging(settings.log)
    letters = DeadLetterQueue(settings, settings.worker.oversized_dir)
    built = build(settings, letters, settings.console, settings.person)
    print_line(f"the console is at {built.link or settings.console.address}")
    serve(built.app, settings.console)


def _print_token() -> None:
    made = new_token()
    print_line(f"token for the person: {made}")
    print_line(f"line for the file:    token_sha256: {digest(made)}")
