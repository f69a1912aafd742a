"""`python -m benchmarks`, which `make bench` calls: starts a stack of its own and takes every measurement on it
once.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import measurements
from benchmarks.events import EventSender, Load
from benchmarks.pipeline import Pipeline, running_pipeline, tell
from benchmarks.program import run_program
from benchmarks.report import Report, show
from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import FailureKind
from nightdesk.output import Output, OutputOption

LATENCY_EVENTS_PER_S = 20.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    events: int
    subjects: int
    latency_s: int
    model_events: int


SHORT = Size(events=300, subjects=100, latency_s=2, model_events=50)


def main(
    events: Annotated[int, typer.Option(min=1, help="events with a decision at once, and for the floor")] = 20_000,
    subjects: Annotated[int, typer.Option(min=1, help="subjects that they are about")] = 5_000,
    model_events: Annotated[int, typer.Option(min=1, help="events that a model decides")] = 5_000,
    latency_seconds: Annotated[int, typer.Option(min=1, help="how long to send 20 events/s")] = 30,
    short: Annotated[bool, typer.Option(help="just to see that it works: small counts, numbers mean little")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Measure the pipeline against a script without durability. Fails when an action is missing or doubled."""
    size = SHORT if short else Size(events, subjects, latency_seconds, model_events)
    with tempfile.TemporaryDirectory(prefix="nightdesk-benchmark-") as home, running_pipeline(Path(home)) as pipeline:
        report = _measure(pipeline, size)
    show(report, output)
    for problem in report.problems():
        print(f"error: {problem}", file=sys.stderr)
    if report.problems():
        raise typer.Exit(EXIT_CODES[FailureKind.FAILED])


def _measure(pipeline: Pipeline, size: Size) -> Report:
    sender = EventSender(pipeline.settings)
    tell("warming up")
    measurements.warm_up(pipeline, sender)
    load = Load("at-once", measurements.KEYWORD, size.events, size.subjects)
    tell(f"decision at once: {load.count:,} events, {load.subjects:,} subjects")
    at_once = measurements.decision_at_once(pipeline, sender, load)
    tell("the floor: the same events by one script")
    floor = measurements.floor(pipeline, load)
    trickle = int(size.latency_s * LATENCY_EVENTS_PER_S)
    tell(f"latency: {size.latency_s} s at {LATENCY_EVENTS_PER_S:g} events/s")
    latency = measurements.latency(
        pipeline, sender, Load("latency", measurements.KEYWORD, trickle, trickle), LATENCY_EVENTS_PER_S
    )
    tell(f"decision by a model: {size.model_events:,} events")
    asked = Load("by-model", measurements.ASKED_MODEL, size.model_events, size.model_events)
    return Report(at_once, floor, latency, measurements.decision_by_model(pipeline, sender, asked), pipeline.ours)


if __name__ == "__main__":
    run_program(main)
