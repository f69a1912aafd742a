"""W3C trace context (https://www.w3.org/TR/trace-context/): the trace of an event, and the span that caused a record.

The id of each span of ours is a function of what it is about. So a record that is handled twice gives the same span,
and another system can be told its caller's span before that span is exported.
"""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Version ff and ids of zeros are invalid, and their receiver starts a new trace.
_WELL_FORMED = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


_WELL_FORMED_BYTES = re.compile(_WELL_FORMED.pattern.encode())


class TraceContext(NamedTuple):
    """A trace and one of its spans, as lower-case hexadecimal digits: 32, 16 and 2 of them."""

    trace_id: str
    span_id: str
    flags: str = "01"

    @property
    def starts_here(self) -> bool:
        """Whether the event's producer gave no trace, so that no span of others is the parent of ours."""
        return self.span_id == self.trace_id[:16]

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


def parse(traceparent: str | None) -> TraceContext | None:
    """The context of a `traceparent` header; None if it is missing or not well-formed."""
    found = _WELL_FORMED.fullmatch(traceparent or "")
    return TraceContext(*found.groups()) if found else None


def is_well_formed(traceparent: bytes) -> bool:
    """Whether `parse` would find a context in a header's value."""
    return _WELL_FORMED_BYTES.fullmatch(traceparent) is not None


def new(cause: str) -> TraceContext:
    """The trace of a record that came without one. The same cause gives the same trace."""
    trace_id = sha256(cause.encode()).hexdigest()[:32]
    return TraceContext(trace_id, trace_id[:16])


def span_id(cause: str) -> str:
    """The id of the span that is about `cause`."""
    return sha256(f"span {cause}".encode()).hexdigest()[:16]


def caused_by(traceparent: str, cause: str) -> str:
    """The `traceparent` for whoever is called by the span that is about `cause`."""
    found = _WELL_FORMED.fullmatch(traceparent)
    return f"00-{found[1]}-{span_id(cause)}-{found[3]}" if found else traceparent


def nanoseconds(at: datetime) -> int:
    """A time as OpenTelemetry writes it, since 1970. A float would be off by some hundred nanoseconds."""
    return (at - _EPOCH) // _MICROSECOND * 1000
