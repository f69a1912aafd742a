"""`nightdesk anomalies try CHARTER`: when its bounds would have stopped the agent, from past audit records.

JSON contract: docs/reference/commands.md.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.anomalies import try_bounds
from nightdesk.operations.times import moment
from nightdesk.output import Output, OutputOption, print_json, print_line, print_rows
from nightdesk.processors.anomalies import anomalies_text
from nightdesk.processors.anomaly_trial import Stop
from nightdesk.settings import load_settings

app = typer.Typer(help="Try a charter's anomaly bounds on past cases.", no_args_is_help=True)


@app.callback()
def root() -> None:
    """Try a charter's anomaly bounds on past cases."""


@app.command(name="try")
def try_(
    charter: Annotated[Path, typer.Argument(help="a charter or its folder; it need not be applied")],
    since: Annotated[str, typer.Option(help="a time, or how long ago, such as 24h")] = "24h",
    output: OutputOption = Output.text,
) -> None:
    """Show when the charter's `anomalies` would have stopped its agent since then, and why. Changes nothing."""
    begin = moment(since, datetime.now(UTC))
    if begin is None:
        raise Failure("--since is empty", "Write 24h (ago) or 2026-11-23T08:00", FailureKind.INVALID)
    trial = try_bounds(load_settings(), charter, begin)
    stops = [_row(stop) for stop in trial.stops]
    if output is Output.json:
        print_json({"agent": trial.agent, "since": trial.since, "decisions": trial.decisions, "stops": stops})
        return
    print_line(
        f"{trial.agent}: {trial.decisions} decisions since {_time(trial.since)}, {len(stops)} times out of bounds"
    )
    print_rows(stops, output)


def _row(stop: Stop) -> dict[str, Any]:
    return {
        "at": _time(datetime.fromtimestamp(stop.at, UTC)),
        "stopped": stop.enforced,
        "bounds": ", ".join(anomaly.bound for anomaly in stop.anomalies),
        "why": anomalies_text(stop.anomalies),
    }


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
