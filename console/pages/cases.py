"""Cases: search by any id, a text, agent, action, status and time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from nightdesk.console.frame import Page, Visiting, page
from nightdesk.console.pages import story
from nightdesk.operations.case_search import find_cases
from nightdesk.operations.cases import parse_statuses
from nightdesk.operations.times import moment
from nightdesk.sinks.case_search import CaseQuery, Facet, FoundCase, Period

router = APIRouter()
PAGE = Page("cases", "Cases", "c", router)

SHOWN = 100
USUAL_SINCE = "24h"
SPANS = ("1h", "24h", "7d", "30d")


@dataclass(frozen=True, slots=True)
class Asked:
    """The filters as they are in the address; an empty one matches all."""

    q: str = ""
    status: str = ""
    agent: str = ""
    action: str = ""
    since: str = USUAL_SINCE
    until: str = ""

    def address(self, **changed: str) -> str:
        """The page with some filters changed."""
        fields = {**{name: getattr(self, name) for name in self.__dataclass_fields__}, **changed}
        usual = {"since": USUAL_SINCE}
        kept = {name: value for name, value in fields.items() if value != usual.get(name, "")}
        return "/cases" + (f"?{urlencode(kept)}" if kept else "")


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that one click sets or removes; `cases` is how many cases the page would then show."""

    label: str
    cases: int | None
    address: str
    is_set: bool


@dataclass(frozen=True, slots=True)
class Cases:
    """The page. `by_id`: the text is an id, so the filters do not count."""

    asked: Asked
    cases: Sequence[FoundCase]
    by_id: bool
    is_cut: bool
    chips: Mapping[str, Sequence[Chip]]


def asked(
    q: str = "", status: str = "", agent: str = "", action: str = "", since: str = USUAL_SINCE, until: str = ""
) -> Asked:
    """The filters of a request."""
    return Asked(q.strip(), status, agent, action, since, until)


@page(router, "/cases")
def list_cases(visit: Visiting, asked: Annotated[Asked, Depends(asked)]) -> Response:
    query = _query(visit, asked)
    found = find_cases(visit.console.installation, query)
    chips = {
        "status": _chips(asked, "status", found.facets),
        "agent": _chips(asked, "agent", found.facets),
        "action": _chips(asked, "action", found.facets),
        "since": [Chip(span, None, asked.address(since=span, until=""), asked.since == span) for span in SPANS],
    }
    view = Cases(asked, found.cases[:SHOWN], found.by_id, len(found.cases) > SHOWN, chips)
    return visit.show("cases.html", view)


@page(router, "/cases/{case_id}")
def show_case(visit: Visiting, case_id: str) -> Response:
    return story.show(visit, case_id)


@page(router, "/subjects")
def show_subject(visit: Visiting, id: Annotated[str, Query()]) -> Response:  # noqa: A002 - the name in the address
    """Everything about a subject, or an event without a case."""
    return story.show(visit, id)


def _query(visit: Visiting, asked: Asked) -> CaseQuery:
    since = moment(asked.since, visit.now) or visit.now - timedelta(days=1)
    until = moment(asked.until, visit.now) or visit.now + timedelta(minutes=1)  # the clock of another machine
    return CaseQuery(
        Period(since, until, visit.visitor.agents),
        parse_statuses(asked.status),
        asked.agent,
        asked.action,
        asked.q,
        SHOWN + 1,
    )


def _chips(asked: Asked, name: str, facets: Iterable[Facet]) -> list[Chip]:
    """One chip for each value of a column, counted among the cases that match the other filters."""
    chosen = {value for value in getattr(asked, name).split(",") if value}
    counts: Counter[str] = Counter()
    for facet in facets:
        if _fits(facet, replace(asked, **{name: ""})):
            counts[getattr(facet, name)] += facet.cases
    values = sorted({*counts, *chosen} - {""}, key=lambda value: (-counts[value], value))
    return [
        Chip(value, counts[value], asked.address(**{name: _toggled(name, chosen, value)}), value in chosen)
        for value in values
    ]


def _fits(facet: Facet, asked: Asked) -> bool:
    wanted = {"status": asked.status, "agent": asked.agent, "action": asked.action}
    return all(not values or getattr(facet, name) in values.split(",") for name, values in wanted.items())


def _toggled(name: str, chosen: set[str], value: str) -> str:
    """Several statuses may be chosen, and one agent or action."""
    if name != "status":
        return "" if value in chosen else value
    return ",".join(sorted(chosen ^ {value}))
