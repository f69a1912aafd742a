"""Records as Faust hands them to a stage."""

from faust.types import TP
from faust.types.tuples import ConsumerMessage
from faust.types.tuples import Message as FaustMessage

from streams.runtime.changes import Changes
from streams.runtime.delivery import RawEvent
from streams.runtime.guard import Guard
from streams.runtime.producer import Headers


def arrival(tp: TP, offset: int, key: bytes | None, value: bytes | None, headers: Headers = ()) -> RawEvent:
    """The record at `offset` of `tp`."""
    message: FaustMessage = ConsumerMessage(
        topic=tp.topic,
        partition=tp.partition,
        offset=offset,
        timestamp=1_795_000_000.0,
        timestamp_type=0,
        headers=list(headers),
        key=key,
        value=value,
        checksum=None,
        serialized_key_size=len(key or b""),
        serialized_value_size=len(value or b""),
        tp=tp,
    )
    return RawEvent(message)


def handled(guard: Guard, event: RawEvent) -> Changes:
    """What a record comes to that nothing has to be waited for."""
    changes = guard.handle(event)
    assert isinstance(changes, Changes), "it converses"
    return changes
