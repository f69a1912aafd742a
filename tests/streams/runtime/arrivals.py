"""Records as Faust delivers them to a stage."""

from datetime import UTC, datetime

from faust.types import TP

from nightdesk.messaging.producer import Headers
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.guard import Guard

STORED_AT = datetime.fromtimestamp(1_795_000_000, UTC)


def arrival(tp: TP, offset: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> RawEvent:
    """The record at `offset` of `tp`."""
    return RawEvent(tp, offset, STORED_AT.timestamp(), key, value, headers, is_broker_time=True)


def handled(guard: Guard, event: RawEvent) -> StagedWrites:
    """The result of a record that has nothing to wait for."""
    writes = guard.handle(event)
    assert isinstance(writes, StagedWrites), "it converses"
    return writes


async def ended(guard: Guard, event: RawEvent) -> StagedWrites:
    """The result of a record, after everything that it had to wait for."""
    answer = guard.handle(event)
    return answer if isinstance(answer, StagedWrites) else await answer()
