"""Faust's own monitor without its work for every record; `metrics.py` counts what we need."""

from typing import Any

from faust.sensors import Monitor


class QuietMonitor(Monitor):
    """Records rebalances, commits and assignments; ignores single records."""

    def on_message_in(self, *_: Any, **__: Any) -> None:
        """A record arrived."""

    def on_message_out(self, *_: Any, **__: Any) -> None:
        """A record was acknowledged (never: we commit by ourselves)."""

    def on_stream_event_in(self, *_: Any, **__: Any) -> None:
        """A stream starts processing a record."""

    def on_stream_event_out(self, *_: Any, **__: Any) -> None:
        """A stream is done with a record."""

    def track_tp_end_offset(self, *_: Any, **__: Any) -> None:
        """The end of a partition, once for each record."""
