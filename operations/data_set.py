"""Exports decisions with people's verdicts, for evaluation elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.operations.progress import Begin
from nightdesk.sinks.data_set import ExportedDecision, Wanted, decisions_of, hours


def export(installation: Installation, wanted: Wanted, begin: Begin) -> Iterator[ExportedDecision]:
    """The decisions, in the order of their cases' hours. `begin` is called with the number of hours, and what it
    returns is called after each hour (`progress.py`). Raises `Failure`.
    """
    with clickhouse(installation.clickhouse) as client:
        found = hours(client, wanted)
        advance = begin("hours", len(found))
        for hour in found:
            yield from decisions_of(client, hour, wanted)
            advance(1)
