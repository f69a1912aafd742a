"""What a worker and the sink serve at `/metrics` is the catalogue, docs/reference/metrics.md, and nothing else."""

from __future__ import annotations

import asyncio
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

import nightdesk.bootstrap  # noqa: F401 - a worker has all of it, and so all of its metrics
from nightdesk.local.parts import LOOPBACK
from nightdesk.local.ports import claim_port
from nightdesk.sinks.audit.metrics import Metrics
from nightdesk.streams.runtime.process import health
from tests.generated.metrics_page import LABELS, catalogue, of_the_sink, of_workers

# Of the Prometheus client itself.
CLIENTS = ("python_", "process_")
# What could name one of very many: a subject, an id, a text.
UNBOUNDED = {"subject", "event", "event_id", "case", "case_id", "decision_id", "record_id", "trace_id", "person", "url"}


def _get(port: int) -> str:
    with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def _served(text: str) -> set[tuple[str, str]]:
    families = text_string_to_metric_families(text)
    return {(family.name, family.type) for family in families if not family.name.startswith(CLIENTS)}


def _expected(families: tuple[tuple[str, str, tuple[str, ...], str], ...]) -> set[tuple[str, str]]:
    return {(name.removesuffix("_total"), kind) for name, kind, _, _ in families}


async def test_a_worker_serves_what_the_catalogue_says() -> None:
    port = claim_port(0, "")
    runner = await health.serve(port, str, LOOPBACK)
    text = await asyncio.to_thread(_get, port)
    await runner.cleanup()
    assert _served(text) == _expected(of_workers())


def test_the_sink_serves_what_the_catalogue_says() -> None:
    assert _served(_get(Metrics().serve(0, LOOPBACK))) == _expected(of_the_sink())


def test_a_metric_has_one_meaning_and_a_name_as_prometheus_wants_it() -> None:
    names = [family.name for family in catalogue()]
    assert len(set(names)) == len(names)
    for family in catalogue():
        assert family.name.startswith("nightdesk_")
        assert family.type != "counter" or family.name.endswith("_total")
        assert not family.name.endswith(("_ms", "_milliseconds", "_microusd", "_minutes"))
        assert family.sentence[0].isupper() or family.sentence[0].isdigit()


@pytest.mark.parametrize("family", catalogue(), ids=lambda family: family.name)
def test_a_label_has_few_values(family: tuple[str, str, tuple[str, ...], str]) -> None:
    _, _, labels, _ = family
    assert set(labels) <= set(LABELS)
    assert not set(labels) & UNBOUNDED
