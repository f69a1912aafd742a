"""The example day: the tickets that `nightdesk up` sends through the pipeline, and their results."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nightdesk.messaging.failures import Failure
from nightdesk.operations.clickhouse import clickhouse
from nightdesk.settings import Settings

MARKER = "example-day.sent"
# Best first: what a newcomer should see explained.
WORTH_TELLING = ("needs_approval", "completed", "escalated", "refused", "rejected", "failed")


@dataclass(frozen=True, slots=True)
class End:
    """The end state of an event; a row of the view `ends`."""

    subject: str
    event_source: str
    event_id: str
    status: str
    state: str


@dataclass(frozen=True, slots=True)
class DemoDay:
    """The events in `events`, one JSON object for each line; the file `sent` in the home folder records that they were
    produced.
    """

    events: Path
    sent: Path

    @classmethod
    def of(cls, settings: Settings) -> DemoDay:
        return cls(settings.charters / "support-triage" / "events.jsonl", settings.home / MARKER)

    @property
    def keys(self) -> set[tuple[str, str]]:
        """Source and id of each event: a duplicate counts once, as in the pipeline."""
        lines = self.events.read_text(encoding="utf-8").split("\n")
        return {(event["source"], event["id"]) for event in map(json.loads, filter(str.strip, lines))}


def ends(settings: Settings) -> list[End]:
    """The audit's state of every event so far. Empty while ClickHouse does not answer: it may be restarting."""
    query = "SELECT subject, event_source, event_id, status, state FROM ends"
    try:
        with clickhouse(settings.clickhouse) as client:
            return [End(*map(str, row)) for row in client.query(query).result_rows]
    except Failure:
        return []


def without_end(keys: set[tuple[str, str]], found: list[End]) -> set[tuple[str, str]]:
    """The events that are not finished."""
    return keys - {(end.event_source, end.event_id) for end in found if end.state != "running"}


def summary(keys: set[tuple[str, str]], found: list[End]) -> list[dict[str, Any]]:
    """How many of the day's events have each status."""
    counts = Counter(end.status for end in found if (end.event_source, end.event_id) in keys)
    return [{"status": status, "events": count} for status, count in counts.most_common()]


def example_subject(keys: set[tuple[str, str]], found: list[End]) -> str | None:
    """The subject that is shown as an example."""
    of_the_day = [end for end in found if (end.event_source, end.event_id) in keys and end.subject]
    ranked = [end for status in WORTH_TELLING for end in of_the_day if end.status == status]
    return ranked[0].subject if ranked else None
