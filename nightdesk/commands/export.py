"""`nightdesk export`: decisions with people's verdicts, as a data set for an evaluation tool or a notebook.

JSON contract of `jsonl`: a line for each decision with the fields of `nightdesk.sinks.data_set.ExportedDecision`. A
line of `otel` is a request of OTLP in JSON, with one span.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from nightdesk.operations.data_set import export as exported
from nightdesk.operations.times import moment
from nightdesk.output import print_json_line
from nightdesk.progress import long_work
from nightdesk.settings import load_settings
from nightdesk.sinks.data_set import Wanted
from nightdesk.sinks.data_set_spans import otlp


class ExportFormat(StrEnum):
    jsonl = "jsonl"
    otel = "otel"


def export(
    since: Annotated[str, typer.Option(help="Cases opened from this hour on: 2026-11-23T08:00 (UTC), or 7d")] = "24h",
    until: Annotated[str, typer.Option(help="Cases opened before this time; default is now")] = "",
    agent: Annotated[str, typer.Option(help="Only decisions of this agent")] = "",
    reviewed: Annotated[bool, typer.Option("--reviewed", help="Only decisions that a person answered")] = False,
    form: Annotated[
        ExportFormat, typer.Option("--format", help="jsonl: a decision a line; otel: a span a line, as OTLP in JSON")
    ] = ExportFormat.jsonl,
) -> None:
    """Export decisions with people's verdicts and outcomes, to a file or a pipe.

    The data of events, parameters and reasoning are part of it: treat the file as you treat the events.
    """
    now = datetime.now(UTC)
    first = moment(since, now) or datetime.fromtimestamp(0, UTC)
    wanted = Wanted(first, moment(until, now) or now, agent, reviewed)
    with long_work() as begin:
        for decision in exported(load_settings(), wanted, begin):
            print_json_line(decision.model_dump(mode="json") if form is ExportFormat.jsonl else otlp(decision))
