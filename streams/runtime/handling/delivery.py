"""A record as it arrived, and its trace."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from faust.types import TP

from nightdesk.messaging.producer import Headers
from nightdesk.schemas import trace_context

# Called when all that a record caused is durable.
Finish = Callable[[], None]
TRACEPARENT = "traceparent"


class RawEvent(NamedTuple):
    """A record as it arrived, not decoded. `timestamp` is in epoch seconds, and that of its producer unless
    `is_broker_time`.

    `unreadable` says why nothing could be read at the `records` offsets from `offset` on, which this event represents.
    """

    tp: TP
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: Headers
    records: int = 1
    unreadable: str = ""
    is_broker_time: bool = False

    @property
    def stored_at(self) -> datetime | None:
        """When the broker stored it; None if it does not say so."""
        return datetime.fromtimestamp(self.timestamp, UTC) if self.is_broker_time else None

    @property
    def topic(self) -> str:
        return self.tp.topic

    @property
    def partition(self) -> int:
        return self.tp.partition

    @property
    def size_bytes(self) -> int:
        """The size of key and value, which are nearly all of it."""
        return len(self.key or b"") + len(self.value or b"")


def trace_headers(headers: Headers, topic: str, partition: int, offset: int) -> Headers:
    """The only header that is passed on. A record without a valid one starts a trace that is named by its place.

    Others are dropped, because Faust would act on a `Faust-*` header from any producer.
    """
    for name, value in headers:
        if name == TRACEPARENT and value and trace_context.is_well_formed(value):
            return ((TRACEPARENT, value),)
    return ((TRACEPARENT, str(trace_context.new(f"{topic}/{partition}/{offset}")).encode()),)
