"""Reads a record that is being quarantined, so that its dead letter and its audit record name its case.

Without that the case would be `running` forever. Decoding may be what ends the process, so the caller notes the
attempt before it calls `read`, and makes only one.
"""

import logging

from nightdesk.schemas import bounds
from nightdesk.schemas.codec import Codec, RegistryUnavailable
from nightdesk.schemas.records import Record
from nightdesk.schemas.topics import Topic
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.handling.repartitioning import check_partition
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

log = logging.getLogger(__name__)

# The errors that decoding raises, and those that a bug in it would raise.
UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError)


async def read(event: RawEvent, topic: Topic, codec: Codec, partitions: int) -> Record | None:
    """The decoded record; None if its bytes are too large or are no record of `topic`, or if it is in another partition
    than its subject's, so that no stage of ours can have written it. Exits the process if the registry is away.
    """
    if event.unreadable:
        return None
    try:
        bounds.check(event.key, event.value, event.headers, topic.value_bytes)
        if codec.must_ask(event.value):
            await codec.ask(event.value)
        record = codec.decode(topic.record, event.value)
        check_partition(topic, record, event, partitions)
    except RegistryUnavailable as error:
        fail_stop(ExitCode.UNAVAILABLE, str(error))
    except UNREADABLE as error:
        log.warning("%s/%s: the record at offset %s names no case: %r", *event.tp, event.offset, error)
        return None
    return record


def message(record: Record | None) -> str:
    """The reason in the dead letter, for people."""
    how = "quarantined without being decoded" if record is None else "quarantined, and waits for a person"
    return (
        f"the process exited repeatedly while this record was in hand: it was {how}. What it asks for may have been"
        " done already. Find the cause before you replay it"
    )
