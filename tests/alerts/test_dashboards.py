"""Every query in PromQL of every panel of the dashboards has an answer, from the metrics of the catalogue alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.generated.dashboards import DASHBOARDS
from tests.generated.dashboards.panels import PromQl
from tests.generated.metrics_page import Family, catalogue

# As Grafana writes them for a scrape every 15 seconds and a dashboard of six hours.
VARIABLES = {"$__rate_interval": "1m", "$__range": "6h", "$agent": "(desk|other)"}
QUERIES = {
    f"{dashboard.name}: {panel.title}": query.text
    for dashboard in DASHBOARDS
    for panel in dashboard.panels
    for query in panel.queries
    if isinstance(query, PromQl)
}
AGENT = "desk"


def expanded(query: str) -> str:
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    assert "$" not in query, f"nothing is known of a variable in {query}"
    return query


def series(family: Family) -> Iterator[dict[str, str]]:
    """What a process serves of a metric, a value every 15 seconds for two hours: each grows, as counters do."""
    labels = ",".join(f'{label}="{AGENT if label == "agent" else "x"}"' for label in family.labels)
    if family.type != "histogram":
        yield {"series": f"{family.name}{{{labels}}}", "values": "1+1x480"}
        return
    for bound in ("1", "+Inf"):
        with_bound = ",".join(filter(None, (labels, f'le="{bound}"')))
        yield {"series": f"{family.name}_bucket{{{with_bound}}}", "values": "1+1x480"}
    for suffix in ("sum", "count"):
        yield {"series": f"{family.name}_{suffix}{{{labels}}}", "values": "1+1x480"}


def counted(query: str, wanted: int) -> dict[str, Any]:
    """A check that the query gives so many series; promtool fails at an error too."""
    samples = [{"labels": "{}", "value": wanted}] if wanted else []
    return {"expr": f"count({query})", "eval_time": "2h", "exp_samples": samples}


def promtool(tools: Path, folder: Path, checks: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    served = [one for family in catalogue() for one in series(family)]
    test = {"interval": "15s", "input_series": served, "promql_expr_test": checks}
    path = folder / "dashboards_test.yml"
    path.write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": [test]}))
    return subprocess.run([tools / "promtool", "test", "rules", path], capture_output=True, text=True, check=False)


def test_every_query_has_an_answer(tools: Path, tmp_path: Path) -> None:
    result = promtool(tools, tmp_path, [counted(expanded(query), 1) for query in QUERIES.values()])
    assert result.returncode == 0, result.stdout + result.stderr


def test_a_query_about_a_metric_that_no_process_serves_would_be_found(tools: Path, tmp_path: Path) -> None:
    for wrong in (
        "nightdesk_lagging_records",
        'nightdesk_lag_records{agent="desk"}',
        "sum by (stage (nightdesk_ready)",
    ):
        assert promtool(tools, tmp_path, [counted(wrong, 1)]).returncode != 0, wrong


def test_a_panel_about_agents_asks_for_those_that_are_chosen() -> None:
    agents = {family.name for family in catalogue() if "agent" in family.labels}
    asked = [query for query in QUERIES.values() if any(name in query for name in agents)]
    assert asked
    assert [query for query in asked if 'agent=~"$agent"' not in query] == []
