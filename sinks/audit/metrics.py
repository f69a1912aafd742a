"""What the sink counts, and whether it is well: `/metrics`, `/healthz` and `/readyz` on one port.

Used by `sinks.audit.sink` and `.landing`. Its own collectors, not the process's: nothing is counted by importing this.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app

# The loop comes round in a second; an insert may take its whole timeout.
WELL_WITHIN_S = 120.0


class Metrics:
    """The names are a contract with the dashboards."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.rows = Counter("nightdesk_sink_rows_total", "Rows landed in ClickHouse", registry=registry)
        self.failures = Counter("nightdesk_sink_failures_total", "Attempts to land that failed", registry=registry)
        self.dead_letters = Counter("nightdesk_sink_dead_letters_total", "Unreadable records", registry=registry)
        self.insert_seconds = Histogram("nightdesk_sink_insert_seconds", "Time of one insert", registry=registry)
        self._last_landed = Gauge("nightdesk_sink_last_landed_timestamp_seconds", "Of the last rows", registry=registry)
        self._last_beat = time.monotonic()

    def landed(self, rows: int) -> None:
        """Rows are in ClickHouse."""
        self.rows.inc(rows)
        self._last_landed.set_to_current_time()

    def beat(self) -> None:
        """The loop has come round."""
        self._last_beat = time.monotonic()

    @property
    def is_well(self) -> bool:
        return time.monotonic() - self._last_beat < WELL_WITHIN_S

    def serve(self, port: int) -> int:
        """Serve on `port` (0: a free one) in the background; gives the port."""
        server = make_server("", port, self._application, handler_class=_Quiet)
        threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
        return int(server.server_port)

    def _application(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] in ("/healthz", "/readyz"):
            status, body = ("200 OK", b"ok\n") if self.is_well else ("503 Service Unavailable", b"stuck\n")
            start_response(status, [("Content-Type", "text/plain")])
            return [body]
        answer: Iterable[bytes] = make_wsgi_app(self.registry)(environ, start_response)
        return answer


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
        """A probe every few seconds is no news."""
