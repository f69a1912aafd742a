"""What the sink's HTTP listener answers."""

import urllib.error
import urllib.request

import pytest

from nightdesk.sinks.audit.metrics import WELL_WITHIN_S, Metrics


def _get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_loop_that_stands_still_is_not_healthy(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("nightdesk.sinks.audit.metrics.time.monotonic", lambda: now)
    metrics = Metrics()
    metrics.beat()
    port = metrics.serve(0, "127.0.0.1")
    now += WELL_WITHIN_S - 0.1
    assert _get(port, path) == (200, "ok\n")
    now += 0.1
    assert _get(port, path) == (503, "stuck\n")
    metrics.beat()
    assert _get(port, path) == (200, "ok\n")


def test_rows_that_landed_are_counted() -> None:
    metrics = Metrics()
    metrics.landed(3)
    metrics.landed(4)
    status, body = _get(metrics.serve(0, "127.0.0.1"), "/metrics")
    assert status == 200
    assert "nightdesk_sink_rows_total 7.0\n" in body
