"""`python -m benchmarks.waits` (`make bench-waits`): how fast one subject goes, and how long an idle pipeline takes for
an event.

Both are about waiting and not about work: the events of one subject go one after another, and an event that comes alone
has nobody to share a round trip with.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, TypeVar

import typer

from benchmarks import measurements
from benchmarks.events import EventSender, Load
from benchmarks.measurements import Latency, Throughput
from benchmarks.pipeline import Pipeline, running_pipeline, tell
from benchmarks.program import run_program
from nightdesk.exit_codes import EXIT_CODES
from nightdesk.messaging.failures import FailureKind
from nightdesk.output import Output, OutputOption, print_rows

Measured = TypeVar("Measured")

LATENCY_EVENTS_PER_S = 20.0


@dataclass(frozen=True, slots=True)
class Waits:
    """Every run of both measurements."""

    one_subject: tuple[Throughput, ...]
    idle: tuple[Latency, ...]

    @property
    def is_trustworthy(self) -> bool:
        """Whether no action is missing or doubled."""
        faults = [*(run.faults for run in self.one_subject), *(run.faults for run in self.idle)]
        return not any(found.any for found in faults)


def main(
    events: Annotated[int, typer.Option(min=1, help="events of the one subject")] = 1_000,
    latency_seconds: Annotated[int, typer.Option(min=1, help="how long to send 20 events/s")] = 15,
    runs: Annotated[int, typer.Option(min=1, help="runs of each measurement")] = 3,
    output: OutputOption = Output.text,
) -> None:
    """Measure what only waits: one subject, and an idle pipeline. Fails when an action is missing or doubled."""
    with tempfile.TemporaryDirectory(prefix="nightdesk-benchmark-") as home, running_pipeline(Path(home)) as pipeline:
        found = _measure(pipeline, events, latency_seconds, runs)
    show(found, output)
    if not found.is_trustworthy:
        raise typer.Exit(EXIT_CODES[FailureKind.FAILED])


def _measure(pipeline: Pipeline, events: int, latency_s: int, runs: int) -> Waits:
    sender = EventSender(pipeline.settings)
    tell("warming up")
    measurements.warm_up(pipeline, sender)
    trickle = int(latency_s * LATENCY_EVENTS_PER_S)

    def one_subject(run: int) -> Throughput:
        load = Load(f"one-subject-{run}", measurements.KEYWORD, events, 1)
        return measurements.decision_at_once(pipeline, sender, load)

    def idle(run: int) -> Latency:
        load = Load(f"idle-{run}", measurements.KEYWORD, trickle, trickle)
        return measurements.latency(pipeline, sender, load, LATENCY_EVENTS_PER_S)

    return Waits(_repeated("one subject", one_subject, runs), _repeated("idle", idle, runs))


def _repeated(name: str, measure: Callable[[int], Measured], runs: int) -> tuple[Measured, ...]:
    found = []
    for run in range(runs):
        tell(f"{name}: run {run + 1} of {runs}")
        found.append(measure(run))
    return tuple(found)


def show(found: Waits, output: Output) -> None:
    """Print the median of the runs and every run, or everything as one JSON object."""
    if output is Output.json:
        runs = {"one_subject": [asdict(run) for run in found.one_subject], "idle": [asdict(run) for run in found.idle]}
        print(json.dumps(runs, indent=2))
        return
    rate = f"{LATENCY_EVENTS_PER_S:g}/s"
    rows = {
        f"events/s of one subject ({found.one_subject[0].events:,})": [run.events_per_s for run in found.one_subject],
        f"p50 ms from produce to action at {rate}": [run.p50_ms for run in found.idle],
        f"p99 ms from produce to action at {rate}": [run.p99_ms for run in found.idle],
        **{
            f"p50 ms from {name}": [run.hand_overs_ms[name] for run in found.idle]
            for name in found.idle[0].hand_overs_ms
        },
    }
    for name in found.idle[0].hand_overs_ms:
        rows[f"p50 ms from {name}"] = [run.hand_overs_ms[name] for run in found.idle]
    print_rows([_row(name, values) for name, values in rows.items()], output)


def _row(name: str, values: Sequence[float]) -> dict[str, object]:
    return {
        "measured": name,
        "median": f"{median(values):.1f}",
        "runs": ", ".join(f"{value:.1f}" for value in values),
    }


if __name__ == "__main__":
    run_program(main)
