"""Finds cases for the console: by any id, or by filters and a text within a period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nightdesk.operations.clickhouse import clickhouse
from nightdesk.operations.installation import Installation
from nightdesk.sinks.case_search import (
    CaseQuery,
    Facet,
    FoundCase,
    Period,
    Tally,
    cases_by_filter,
    cases_by_id,
    facets,
    tally,
)


@dataclass(frozen=True, slots=True)
class Found:
    """The cases, and how all cases of the period divide. `by_id`: the text is an id, and names them whatever the
    filters say.
    """

    cases: Sequence[FoundCase]
    facets: Sequence[Facet]
    by_id: bool


def find_cases(installation: Installation, query: CaseQuery) -> Found:
    """A text that is a subject, event, case or decision id finds its cases. Any other text is looked for in subjects,
    reasons, reasoning and parameters. Raises `Failure`.
    """
    with clickhouse(installation.clickhouse) as client:
        named = cases_by_id(client, query.text, query.period.agents, query.limit) if query.text else []
        found = named or cases_by_filter(client, query)
        return Found(found, facets(client, query.period), bool(named))


def tally_cases(installation: Installation, period: Period, bucket_s: int) -> Sequence[Tally]:
    """The cases of a period, counted by interval, agent and status. Raises `Failure`."""
    with clickhouse(installation.clickhouse) as client:
        return tally(client, period, bucket_s)
