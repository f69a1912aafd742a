"""Computes from the audit when a charter's bounds would have stopped its agent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.operations.charters import usable_charter
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.processors.anomaly_trial import Audited, Stop, facts_of, stops
from nightdesk.sinks.decided_and_acted import decided_and_acted


@dataclass(frozen=True, slots=True)
class AnomalyTrial:
    """The number of decisions since `since`, and the times at which the bounds would have been exceeded."""

    agent: str
    since: datetime
    decisions: int
    stops: tuple[Stop, ...]


def try_bounds(installation: Installation, charter: Path, since: datetime) -> AnomalyTrial:
    """Try the bounds of a charter, which need not be applied. Changes nothing. Raises `Failure`."""
    loaded = usable_charter(charter)
    if loaded.anomalies is None:
        raise Failure(f"the charter of {loaded.agent} bounds no anomalies", "See docs/charter.md", FailureKind.INVALID)
    with clickhouse(installation.clickhouse) as client:
        lines = [Audited(**row) for row in decided_and_acted(client, loaded.agent, since)]
    if not lines:
        raise Failure(
            f"{loaded.agent} has decided nothing since {since:%Y-%m-%d %H:%M:%S} UTC", kind=FailureKind.NOT_FOUND
        )
    found = tuple(stops(loaded.anomalies, facts_of(lines, loaded.agent)))
    return AnomalyTrial(loaded.agent, since, sum(line.kind == "decided" for line in lines), found)
