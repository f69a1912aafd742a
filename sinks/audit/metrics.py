"""The metrics of the sink and its health: `/metrics`, `/healthz` and `/readyz` on one port.

It has its own collectors, so importing this module registers nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, make_wsgi_app

# The loop takes at most a second, plus an insert, which may take its whole timeout.
WELL_WITHIN_S = 120.0


class Metrics:
    """The metrics of one sink. Dashboards and alerts rely on their names."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.rows = Counter("nightdesk_sink_rows_total", "Rows written to ClickHouse", registry=registry)
        self.failures = Counter("nightdesk_sink_failures_total", "Failed attempts to write", registry=registry)
        self.dead_letters = Counter(
            "nightdesk_sink_dead_letters_total", "Records that cannot be decoded", registry=registry
        )
        self.lost = Counter(
            "nightdesk_sink_lost_records_total", "Records deleted before they were read", registry=registry
        )
        self.insert_seconds = Histogram("nightdesk_sink_insert_seconds", "Time of one insert", registry=registry)
        self._last_landed = Gauge(
            "nightdesk_sink_last_landed_timestamp_seconds", "Time of the last written rows", registry=registry
        )
        self._behind = Gauge(
            "nightdesk_sink_lag_records", "Records of the audit topic that are not in ClickHouse yet", registry=registry
        )
        self._oldest = Gauge(
            "nightdesk_sink_oldest_record_seconds",
            "Age of the oldest record that was read and is not in ClickHouse yet; 0 if there is none",
            registry=registry,
        )
        self._oldest.set_function(lambda: max(0.0, time.time() - self._waiting_since) if self._waiting_since else 0.0)
        self._waiting_since: float | None = None
        self._last_beat = time.monotonic()

    def behind(self, records: int, waiting_since: float | None) -> None:
        """Set the number of records that are not stored yet, and the Unix time of the oldest one that was read."""
        self._behind.set(records)
        self._waiting_since = waiting_since

    def landed(self, rows: int) -> None:
        """Count rows that are stored in ClickHouse."""
        self.rows.inc(rows)
        self._last_landed.set_to_current_time()

    def beat(self) -> None:
        """Note that the loop has completed a round."""
        self._last_beat = time.monotonic()

    @property
    def is_healthy(self) -> bool:
        return time.monotonic() - self._last_beat < WELL_WITHIN_S

    def serve(self, port: int, host: str = "") -> int:
        """Serve on `port` (0: a free one) of `host` (empty: every address) in the background. Returns the port."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asks for
        server = make_server(host, port, self._application, handler_class=_SilentHandler)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        return int(server.server_port)

    def _application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] in ("/healthz", "/readyz"):
            status, body = ("200 OK", b"ok\n") if self.is_healthy else ("503 Service Unavailable", b"stuck\n")
            start_response(status, [("Content-Type", "text/plain")])
            return [body]
        answer: Iterable[bytes] = make_wsgi_app(self.registry)(environ, start_response)
        return answer


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """Health probes are not logged."""
