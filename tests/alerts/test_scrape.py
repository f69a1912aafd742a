"""A real Prometheus scrapes a worker's and the sink's metrics, and evaluates every rule without an error."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import yaml
from prometheus_client import start_http_server

from nightdesk.local.parts import LOOPBACK
from nightdesk.local.ports import claim_port
from nightdesk.sinks.audit.metrics import Metrics
from nightdesk.streams.audit_metrics import AuditMetrics
from tests.alerts.conftest import ROOT
from tests.streams.audit_samples import audit_record

RULES = ROOT / "deploy/prometheus/nightdesk.rules.yml"
PATIENCE_S = 120.0


@contextmanager
def running(tools: Path, folder: Path, *targets: int) -> Iterator[str]:
    """A Prometheus that scrapes these ports each second. Gives its address."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "nightdesk", "static_configs": [{"targets": [f"{LOOPBACK}:{port}" for port in targets]}]}
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    address = f"{LOOPBACK}:{claim_port(0, '')}"
    command = [
        str(tools / "prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield f"http://{address}/api/v1"
    finally:
        process.terminate()
        process.wait(30)


def ask(url: str) -> Any:
    """The data of an answer; None if it does not answer yet."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]
    except (urllib.error.URLError, ConnectionError):
        return None


def value(api: str, query: str) -> list[str]:
    """The values of an instant query."""
    found = ask(f"{api}/query?{urlencode({'query': query})}") or {"result": []}
    return [each["value"][1] for each in found["result"]]


def test_prometheus_reads_the_metrics_and_evaluates_every_rule(tools: Path, tmp_path: Path) -> None:
    AuditMetrics().count([audit_record("acted", "completed", agent="scraped")])
    worker, thread = start_http_server(0, LOOPBACK)
    sink = Metrics().serve(0, LOOPBACK)
    with running(tools, tmp_path, worker.server_port, sink) as api:
        deadline = time.monotonic() + PATIENCE_S
        while not is_evaluated(api):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()[-2000:]
            time.sleep(0.5)
        assert value(api, 'nightdesk_cases_ended_total{agent="scraped"}') == ["1"]
        assert value(api, "up") == ["1", "1"]
        assert [rule["lastError"] for rule in rules(api) if rule.get("lastError")] == []
        assert len(rules(api)) == len(yaml.safe_load(RULES.read_text())["groups"][0]["rules"])
    worker.shutdown()
    worker.server_close()
    thread.join()


def is_evaluated(api: str) -> bool:
    """Whether both targets were scraped, and each rule was evaluated since."""
    known = rules(api)
    return value(api, "up") == ["1", "1"] and bool(known) and all(rule["health"] == "ok" for rule in known)


def rules(api: str) -> list[dict[str, Any]]:
    """The rules as Prometheus knows them."""
    groups = (ask(f"{api}/rules") or {"groups": []})["groups"]
    return [rule for group in groups for rule in group["rules"]]
