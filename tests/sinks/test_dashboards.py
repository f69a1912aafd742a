"""Every query in SQL of every panel of the Grafana dashboards, put to a loaded store as Grafana does."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest

from nightdesk.sinks.clickhouse.access import HIDDEN_FROM_VIEWERS
from tests.generated.dashboards import DASHBOARDS
from tests.generated.dashboards.panels import AGENTS_OF_A_MONTH, Dashboard, Panel, Sql
from tests.sinks.grafana_macros import expanded
from tests.sinks.loaded import END, Loaded

UNITS = {"h": "hours", "d": "days"}
# Of the rows of the smallest large table. A week is an eighth of the span, and the longest time of a panel.
MOST_OF_A_TABLE = 0.4
ASKED = [
    pytest.param(dashboard, panel, number, id=f"{dashboard.name}: {panel.title} {number}")
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
    for number, query in enumerate(panel.queries)
    if isinstance(query, Sql)
]


def period(dashboard: Dashboard, panel: Panel) -> tuple[datetime, datetime]:
    """The time that the panel shows at the end of the generated audit."""
    match = re.fullmatch(r"(\d+)([hd])", panel.span or dashboard.span)
    assert match
    return END - timedelta(**{UNITS[match[2]]: int(match[1])}), END


@pytest.mark.parametrize(("dashboard", "panel", "number"), ASKED)
def test_a_panel_has_an_answer_and_reads_a_small_part_of_the_store(
    loaded: Loaded, dashboard: Dashboard, panel: Panel, number: int
) -> None:
    query = panel.queries[number]
    since, until = period(dashboard, panel)
    for agents in ((), (loaded.asked.agent, "another")):
        answer = loaded.client.query(expanded(query.text, since, until, agents))
        assert answer.result_rows
        assert any(value is not None for row in answer.result_rows for value in row)
        assert 0 < int(answer.summary["read_rows"]) < MOST_OF_A_TABLE * loaded.size
        assert not panel.units.keys() - set(answer.column_names), "a unit of a column that the query does not have"
        assert not panel.links or {"subject", "case_id"} <= set(answer.column_names)
        if panel.kind == "timeseries":
            assert answer.column_names[0] == "time"


@pytest.mark.parametrize(("dashboard", "panel", "number"), ASKED)
def test_a_panel_shows_nothing_of_an_agent_that_was_not_chosen(
    loaded: Loaded, dashboard: Dashboard, panel: Panel, number: int
) -> None:
    rows = loaded.client.query(expanded(panel.queries[number].text, *period(dashboard, panel), ["another"])).result_rows
    assert not any(value for row in rows for value in row if value == value)


def test_the_agents_to_choose_from_are_those_of_the_store(loaded: Loaded) -> None:
    """The variable asks about the last month by the server's clock."""
    now = f"toDateTime({int(END.timestamp())})"
    rows = loaded.client.query(AGENTS_OF_A_MONTH.replace("now()", now)).result_rows
    assert rows == [(loaded.asked.agent,)]


def test_a_query_that_reads_everything_would_be_found(loaded: Loaded) -> None:
    whole = loaded.client.query("SELECT status, count() FROM cases GROUP BY status").summary
    assert int(whole["read_rows"]) > MOST_OF_A_TABLE * loaded.size


@pytest.mark.parametrize(("dashboard", "panel", "number"), ASKED)
def test_a_panel_asks_for_nothing_that_a_viewer_may_not_see(dashboard: Dashboard, panel: Panel, number: int) -> None:
    words = set(re.findall(r"\w+", panel.queries[number].text))
    views = set(re.findall(r"FROM (\w+)", panel.queries[number].text))
    assert views
    assert views <= HIDDEN_FROM_VIEWERS.keys()
    assert not any(HIDDEN_FROM_VIEWERS[view] & words for view in views)
