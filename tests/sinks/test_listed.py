"""Every query that a command or a page sends to the audit is in the list that is timed and looked through."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module

import nightdesk.sinks
from nightdesk.sinks.questions import QUESTIONS

IS_QUERY = re.compile(r"\s*(SELECT|WITH)\b")
# They read a whole span by purpose, row by row, for a report: no answer of theirs is waited for on a page.
REPORTS = {"night.LINES", "decided_and_acted.LINES"}


def queries() -> Iterator[tuple[str, str]]:
    """The text constants of the modules that read the audit which are queries, whole or the part of one."""
    for info in pkgutil.iter_modules(nightdesk.sinks.__path__):
        if info.ispkg:
            continue
        for name, value in vars(import_module(f"nightdesk.sinks.{info.name}")).items():
            if isinstance(value, str) and name.isupper() and IS_QUERY.match(value):
                yield f"{info.name}.{name}", value


def is_listed(query: str) -> bool:
    """Whether a question has it. A query with a part that a function fills in is known by what stands around that."""
    around = [part.strip() for part in re.split(r"\$\w+", query)]
    return any(all(part in question.sql for part in around) for question in QUESTIONS)


def test_every_query_is_in_the_list() -> None:
    found = dict(queries())
    assert len(found) > len(QUESTIONS) / 2
    assert found.keys() >= REPORTS
    assert {name for name, query in found.items() if not is_listed(query)} - REPORTS == set()
