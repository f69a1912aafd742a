"""What a dashboard is made of, and its JSON as Grafana reads it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["stat", "timeseries", "table", "barchart"]

CLICKHOUSE = {"type": "grafana-clickhouse-datasource", "uid": "${clickhouse}"}
PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
# The console's page of a case; `console` is a variable of every dashboard.
CASE = "${console}/cases/${__data.fields.case_id}"
WHOLE_WIDTH = 24
HEIGHTS: Mapping[Kind, int] = {"stat": 4, "timeseries": 8, "table": 9, "barchart": 8}

# The conditions of nearly every query: the first hour counts whole. `agent` is a variable of every dashboard.
AGENTS = "$__conditionalAll(agent IN (${agent:singlequote}), $agent)"
HOURS = "hour >= toStartOfHour($__fromTime) AND hour <= $__toTime"


@dataclass(frozen=True, slots=True)
class Sql:
    """A query to ClickHouse. Of a time series the first column is the time, and a text column names the series."""

    text: str

    def target(self, letter: str, kind: Kind) -> dict[str, Any]:
        over_time = kind == "timeseries"
        return {
            "refId": letter,
            "datasource": CLICKHOUSE,
            "editorType": "sql",
            "queryType": "timeseries" if over_time else "table",
            "format": 0 if over_time else 1,
            "rawSql": self.text.strip(),
        }


@dataclass(frozen=True, slots=True)
class PromQl:
    """A query to Prometheus. `legend` names the series by their labels."""

    text: str
    legend: str = ""

    def target(self, letter: str, kind: Kind) -> dict[str, Any]:
        over_time = kind == "timeseries"
        return {
            "refId": letter,
            "datasource": PROMETHEUS,
            "expr": self.text,
            "legendFormat": self.legend,
            "range": over_time,
            "instant": not over_time,
            "format": "time_series" if over_time else "table",
        }


Query = Sql | PromQl


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. `span` is the time that it shows whatever the dashboard's is, as in `24h`; `units` are those of single
    columns; a table with `links` has a link from its column `subject` to the case in the console.
    """

    title: str
    kind: Kind
    queries: tuple[Query, ...]
    says: str
    width: int
    unit: str = "short"
    units: Mapping[str, str] = field(default_factory=dict)
    span: str = ""
    stacked: bool = False
    links: bool = False


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Panels in rows: those that follow one another share a row until its width is used."""

    name: str
    title: str
    says: str
    span: str
    panels: tuple[Panel, ...]

    def json(self) -> str:
        return json.dumps(self._content(), indent=2, ensure_ascii=False) + "\n"

    def _content(self) -> dict[str, Any]:
        return {
            "uid": f"nightdesk-{self.name}",
            "title": f"Nightdesk: {self.title}",
            "description": self.says,
            "tags": ["nightdesk"],
            "schemaVersion": 39,
            "editable": True,
            "timezone": "browser",
            "refresh": "1m",
            "time": {"from": f"now-{self.span}", "to": "now"},
            "templating": {"list": _variables()},
            "links": [
                {"type": "dashboards", "title": "Nightdesk", "tags": ["nightdesk"], "keepTime": True,
                 "includeVars": True},
                {"type": "link", "title": "Console", "url": "${console}", "targetBlank": True},
            ],
            "panels": list(_placed(self.panels)),
        }  # fmt: skip


AGENTS_OF_A_MONTH = (
    "SELECT DISTINCT agent FROM hourly WHERE agent != '' AND hour >= now() - INTERVAL 30 DAY ORDER BY agent"
)


def _variables() -> list[dict[str, Any]]:
    agents = {"rawSql": AGENTS_OF_A_MONTH, "queryType": "table", "format": 1, "editorType": "sql", "refId": "agent"}
    return [
        {"name": "clickhouse", "label": "ClickHouse", "type": "datasource", "query": CLICKHOUSE["type"]},
        {"name": "prometheus", "label": "Prometheus", "type": "datasource", "query": PROMETHEUS["type"]},
        {"name": "agent", "label": "Agent", "type": "query", "datasource": CLICKHOUSE, "query": agents, "multi": True,
         "includeAll": True, "allValue": ".*", "refresh": 2, "current": {"text": ["All"], "value": ["$__all"]}},
        {"name": "console", "label": "Console", "type": "textbox", "query": "http://127.0.0.1:18080",
         "current": {"text": "http://127.0.0.1:18080", "value": "http://127.0.0.1:18080"}},
    ]  # fmt: skip


def _placed(panels: tuple[Panel, ...]) -> Iterator[dict[str, Any]]:
    x = y = height = 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WHOLE_WIDTH:
            x, y, height = 0, y + height, 0
        height = max(height, HEIGHTS[panel.kind])
        yield _panel(number, panel) | {"gridPos": {"x": x, "y": y, "w": panel.width, "h": HEIGHTS[panel.kind]}}
        x += panel.width


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    letters = "ABCDEFGH"
    found = {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says,
        "datasource": panel.queries[0].target("A", panel.kind)["datasource"],
        "targets": [query.target(letter, panel.kind) for letter, query in zip(letters, panel.queries, strict=False)],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": list(_overrides(panel))},
        "options": _options(panel.kind),
    }
    return found | ({"timeFrom": panel.span} if panel.span else {})


def _defaults(panel: Panel) -> dict[str, Any]:
    drawn = {"fillOpacity": 20, "lineWidth": 1, "stacking": {"mode": "normal"}} if panel.stacked else {"lineWidth": 1}
    return {"unit": panel.unit, "min": 0} | ({"custom": drawn} if panel.kind == "timeseries" else {})


def _overrides(panel: Panel) -> Iterator[dict[str, Any]]:
    for column, unit in panel.units.items():
        yield _override(column, "unit", unit)
    if panel.links:
        yield _override("subject", "links", [{"title": "The case in the console", "url": CASE, "targetBlank": True}])
        yield _override("case_id", "custom.hidden", True)


def _override(column: str, name: str, value: Any) -> dict[str, Any]:
    return {"matcher": {"id": "byName", "options": column}, "properties": [{"id": name, "value": value}]}


def _options(kind: Kind) -> dict[str, Any]:
    """A stat shows the only row of its query; the last value of a series would be that of one hour."""
    last = {"calcs": ["lastNotNull"], "values": False, "fields": ""}
    options: dict[Kind, dict[str, Any]] = {
        "stat": {"reduceOptions": last, "colorMode": "none", "graphMode": "none"},
        "timeseries": {"legend": {"displayMode": "table", "placement": "bottom", "calcs": ["sum", "lastNotNull"]}},
        "table": {"showHeader": True},
        "barchart": {"legend": {"showLegend": True, "placement": "bottom"}},
    }
    return options[kind]
