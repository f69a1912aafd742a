"""Faust's own monitor without what it does for every record; `metrics.py` counts what we need. Named in
`faust_app.py`.
"""

from typing import Any

from faust.sensors import Monitor


class QuietMonitor(Monitor):
    """Keeps rebalances, commits and assignments; says nothing of single records."""

    def on_message_in(self, *_: Any, **__: Any) -> None:
        """A record came."""

    def on_message_out(self, *_: Any, **__: Any) -> None:
        """A record was acknowledged (never: we commit by ourselves)."""

    def on_stream_event_in(self, *_: Any, **__: Any) -> None:
        """A stream begins with a record."""

    def on_stream_event_out(self, *_: Any, **__: Any) -> None:
        """A stream is done with a record."""

    def track_tp_end_offset(self, *_: Any, **__: Any) -> None:
        """The end of a partition, once for each record."""
