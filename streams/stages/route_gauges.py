"""Measures how many routes take no message, for an alert, because a route that fails cannot report that itself."""

from collections import defaultdict
from datetime import datetime

from nightdesk.processors.notifications import Batch, route_states
from nightdesk.streams.metrics import ROUTE_FAILING

# Every partition ticks several times a second, and all routes are measured together.
EVERY_S = 5.0


class RouteGauges:
    """The batches that show the states of this worker's routes, derived from the table after every assignment."""

    def __init__(self) -> None:
        self._batches: dict[str, dict[str, Batch]] = defaultdict(dict)
        self._measured_at = 0.0

    def clear(self) -> None:
        """Forget all and remove the gauges, because another worker may have these routes now."""
        if self._measured_at:
            for route in self._batches:
                ROUTE_FAILING.remove(route)
        self._batches.clear()
        self._measured_at = 0.0

    def note(self, batch: Batch) -> None:
        """Note a batch that was sent or could not be."""
        if batch.sent_at is None and batch.failed_at is None:
            return
        known = {**self._batches[batch.route], batch.batch_id: batch}
        sent = max((one.sent_at for one in known.values() if one.sent_at), default=None)
        self._batches[batch.route] = {name: one for name, one in known.items() if _counts(one, sent)}

    def measure(self, now: datetime) -> None:
        """Set the gauges, unless they were just set."""
        if abs(now.timestamp() - self._measured_at) < EVERY_S:
            return
        self._measured_at = now.timestamp()
        for route, batches in self._batches.items():
            since = route_states(batches.values(), now)[route].failing_since
            ROUTE_FAILING.labels(route=route).set(0.0 if since is None else max(0.0, (now - since).total_seconds()))


def _counts(batch: Batch, sent: datetime | None) -> bool:
    """Whether it is the last that was sent, or failed after that."""
    return sent is None or batch.sent_at == sent or (batch.failed_at is not None and batch.failed_at > sent)
