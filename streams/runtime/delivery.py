"""A record as a handler sees it: decoded, with where it lay and the trace it belongs to."""

import hashlib
import re
from typing import Generic, NamedTuple, TypeVar

from faust.types import TP

from schemas.records import Record
from schemas.topics import Topic
from streams.runtime.producer import Headers

R = TypeVar("R", bound=Record)
TRACEPARENT = "traceparent"
_WELL_FORMED = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")


class RawEvent(NamedTuple):
    """A record as it came, undecoded. `timestamp` is epoch seconds."""

    tp: TP
    offset: int
    timestamp: float
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def topic(self) -> str:
        return self.tp.topic

    @property
    def partition(self) -> int:
        return self.tp.partition


class Delivery(NamedTuple, Generic[R]):
    """One record of a topic, at its place in the log. `replay_of`: the dead letter that a person sent again."""

    record: R
    topic: Topic
    partition: int
    offset: int
    traceparent: str
    replay_of: str | None = None


def trace_headers(headers: Headers, topic: str, partition: int, offset: int) -> Headers:
    """The only header that we carry on. A record without a well-formed one starts a trace named by its place.

    Others are dropped: Faust would obey a `Faust-*` header of anyone who may produce.
    """
    for name, value in headers:
        if name == TRACEPARENT and value and _WELL_FORMED.match(value):
            return ((TRACEPARENT, value),)
    digest = hashlib.sha256(f"{topic}/{partition}/{offset}".encode()).hexdigest()
    return ((TRACEPARENT, f"00-{digest[:32]}-{digest[32:48]}-01".encode()),)
