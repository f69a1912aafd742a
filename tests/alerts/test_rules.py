"""Each alert asks for metrics that exist, has its page, and fires on what it is for and on nothing else."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from nightdesk.local.stages import PROCESSES
from nightdesk.settings_sections import LocalSettings
from tests.alerts.conftest import ROOT
from tests.alerts.situations import FIRING, promtool_tests
from tests.generated.metrics_page import catalogue

RULES = ROOT / "deploy/prometheus/nightdesk.rules.yml"
PROMETHEUS = ROOT / "deploy/prometheus/prometheus.yml"
PAGE = ROOT / "docs/how-to/alerts.md"
ALERTS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
NAMES = [alert["alert"] for alert in ALERTS]
# What a metric of the catalogue is called in the samples of a histogram.
SUFFIXES = ("_bucket", "_count", "_sum")


def labels_of(metric: str) -> set[str]:
    """The labels of a sample's name. Raises `KeyError` if no process serves it."""
    known = {family.name: set(family.labels) for family in catalogue()}
    suffix = next((suffix for suffix in SUFFIXES if metric.endswith(suffix) and metric not in known), "")
    return known[metric.removesuffix(suffix)] | ({"le"} if suffix == "_bucket" else set())


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_its_metrics_and_labels_are_in_the_catalogue(alert: dict[str, Any]) -> None:
    used = re.findall(r"(nightdesk_\w+)(?:\{([^}]*)\})?", alert["expr"])
    assert used
    everywhere = set.intersection(*(labels_of(name) for name, _ in used))
    for name, selectors in used:
        assert set(re.findall(r"(\w+)\s*(?:=|!=|=~|!~)", selectors)) <= labels_of(name), name
    for grouping in re.findall(r"by \(([^)]*)\)", alert["expr"]):
        wanted = {label.strip() for label in grouping.split(",")}
        assert any(wanted <= labels_of(name) for name, _ in used), grouping
    shown = set(re.findall(r"\$labels\.(\w+)", alert["annotations"]["summary"]))
    assert shown <= everywhere


@pytest.mark.parametrize("alert", ALERTS, ids=NAMES)
def test_it_says_how_urgent_it_is_and_where_its_page_is(alert: dict[str, Any]) -> None:
    assert alert["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert (ROOT / page, anchor) == (PAGE, alert["alert"].lower())


def test_each_alert_has_its_part_of_the_page_in_the_same_order() -> None:
    assert re.findall(r"^## (\w+)$", PAGE.read_text(), re.MULTILINE) == NAMES


def test_each_alert_has_a_situation_in_which_it_fires() -> None:
    assert list(FIRING) == NAMES


def test_prometheus_beside_make_up_scrapes_every_process() -> None:
    config = yaml.safe_load(PROMETHEUS.read_text())
    [job] = config["scrape_configs"]
    first = LocalSettings().metrics_port
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{first + place}" for place in range(len(PROCESSES))]}]
    assert config["rule_files"] == [RULES.name]


def test_promtool_accepts_the_configuration_and_the_rules(tools: Path) -> None:
    for config in (PROMETHEUS, PROMETHEUS.with_name("compose.yml")):
        subprocess.run([tools / "promtool", "check", "config", config], check=True, capture_output=True)


def test_each_alert_fires_on_what_it_is_for_and_none_in_a_quiet_night(tools: Path, tmp_path: Path) -> None:
    tests = tmp_path / "rules_test.yml"
    tests.write_text(yaml.safe_dump(promtool_tests(str(RULES))))
    result = subprocess.run([tools / "promtool", "test", "rules", tests], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
