"""How the events of some subjects ended: the view `ends`, reading only the hours in which the subjects have records."""

from __future__ import annotations

from functools import cache

from nightdesk.sinks.clickhouse.views import view

_OF_SUBJECTS = """subject IN {subjects:Array(String)}
    AND hour IN (SELECT hour FROM ids WHERE id IN (SELECT sipHash64(arrayJoin({subjects:Array(String)}))))"""


@cache
def ends_of_subjects() -> str:
    """The query; its parameter is `subjects`."""
    return view("ends").narrowed(_OF_SUBJECTS)
