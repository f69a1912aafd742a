"""`nightdesk why`: what happened to a subject, event, case or decision, for people and (`--output
json`) for scripts.
"""

from __future__ import annotations

from typing import Annotated

import typer

from nightdesk.commands.why_text import render
from nightdesk.operations.cases import trace
from nightdesk.output import Output, OutputOption, print_json, print_lines
from nightdesk.settings import load_settings


def why(
    id: Annotated[str, typer.Argument(help="a subject (ticket), event, case or decision id")],  # noqa: A002 - its name in --help
    output: OutputOption = Output.text,
) -> None:
    """Show what was done, why, and what it cost."""
    found = trace(load_settings(), id)
    if output is Output.json:
        print_json(found.model_dump(mode="json"))
    else:
        print_lines(render(found))
