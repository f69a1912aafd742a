"""`nightdesk why`: what happened to a subject, event, case or decision, for people and (`--output
json`) for scripts.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from nightdesk.commands.why_text import asked, render
from nightdesk.operations.cases import questions, trace
from nightdesk.output import Output, OutputOption, print_json, print_lines
from nightdesk.settings import load_settings


def why(
    id: Annotated[str, typer.Argument(help="a subject (ticket), event, case or decision id")],  # noqa: A002 - its name in --help
    prompt: Annotated[bool, typer.Option("--prompt", help="also what models were asked, and their replies")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Show what was done, why, and what it cost."""
    settings = load_settings()
    found = trace(settings, id)
    calls = questions(settings, found) if prompt else []
    if output is Output.json:
        more = {"model_calls": [asdict(call) for call in calls]} if prompt else {}
        print_json({**found.model_dump(mode="json"), **more})
    else:
        print_lines(render(found))
        print_lines(asked(calls) if prompt else ())
