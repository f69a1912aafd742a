"""Records as Faust hands them to a stage."""

from faust.types import TP

from streams.runtime.changes import Changes
from streams.runtime.delivery import RawEvent
from streams.runtime.guard import Guard
from streams.runtime.producer import Headers


def arrival(tp: TP, offset: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> RawEvent:
    """The record at `offset` of `tp`."""
    return RawEvent(tp, offset, 1_795_000_000.0, key, value, headers)


def handled(guard: Guard, event: RawEvent) -> Changes:
    """What a record comes to that nothing has to be waited for."""
    changes = guard.handle(event)
    assert isinstance(changes, Changes), "it converses"
    return changes
