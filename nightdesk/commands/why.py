"""`nightdesk why`: the story of a subject, event, case or decision, for people and (`--output json`) for scripts."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nightdesk.clickhouse import clickhouse
from nightdesk.commands.why_text import tell
from nightdesk.exits import ExitCode, Failure
from nightdesk.output import Output, OutputOption
from nightdesk.settings import load_settings
from sinks.queries import story


def why(
    id: Annotated[str, typer.Argument(help="a subject (ticket), event, case or decision id")],  # noqa: A002 - its name in --help
    output: OutputOption = Output.text,
) -> None:
    """Tell what was done, why, and what it cost."""
    with clickhouse(load_settings().clickhouse) as client:
        found = story(client, id)
    if found is None:
        raise Failure(
            f"nothing is known of {id!r}",
            "It may not have arrived yet: `nightdesk status` says how far behind the stages are",
            ExitCode.NOT_FOUND,
        )
    if output is Output.json:
        print(json.dumps(found.model_dump(mode="json"), indent=2, ensure_ascii=False))
    else:
        print(tell(found))
