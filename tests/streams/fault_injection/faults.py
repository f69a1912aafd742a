"""The faults that a worker can inject into itself: patches, by name.

The worker applies them before it builds the stage, after it has removed a protection. Each fault makes a moment certain
that is a matter of luck in production.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.types import TP

from nightdesk.messaging.producer import Message, Producer
from nightdesk.schemas.topics import AUDIT
from nightdesk.streams.runtime.consuming.partition_reader import PartitionReader
from nightdesk.streams.runtime.handling.delivery import Finish, RawEvent
from tests.streams.fault_injection.conversation import Journal


def changelog_never_delivered(journal: Journal) -> None:
    """State updates stay in the producer."""
    _hold(lambda topic: topic.endswith("-changelog"), journal)


def words_never_delivered(journal: Journal) -> None:
    """Output records stay in the producer."""
    _hold(lambda topic: topic.endswith(AUDIT.name), journal)


def first_record_skipped(journal: Journal) -> None:
    """Faust never delivers the record at offset 0."""
    _without_offset(0, journal)


def second_record_skipped(journal: Journal) -> None:
    """Faust never delivers the record at offset 1."""
    _without_offset(1, journal)


def second_record_skipped_once(journal: Journal) -> None:
    """Faust fetches the record at offset 1 and delivers it only when it is fetched again."""
    accept = PartitionReader.accept
    skipped: set[int] = set()

    async def skipping(self: PartitionReader, event: RawEvent) -> Finish | None:
        if event.offset != 1 or skipped:
            return await accept(self, event)
        skipped.add(event.offset)
        journal.write("skipped")
        return None

    PartitionReader.accept = skipping  # type: ignore[method-assign]


def silent_from_the_start(journal: Journal) -> None:
    """Faust never delivers anything."""
    _silent_from(0, journal)


def silent_after_the_first(journal: Journal) -> None:
    """Faust delivers offset 0 and then nothing more."""
    _silent_from(1, journal)


def recovery_never_ends(journal: Journal) -> None:
    """The recovery of the tables never ends."""

    async def read_on(self: Recovery, generation_id: int = 0) -> None:
        journal.write("recovering")
        await asyncio.Event().wait()

    Recovery.on_recovery_completed = read_on  # type: ignore[method-assign]


def changelog_never_read(journal: Journal) -> None:
    """Faust never gets a record of the changelog, as sometimes happens after the broker was away."""
    resume = Consumer.resume_partitions

    def resume_others(self: Consumer, tps: Iterable[TP]) -> None:
        journal.write("recovering")
        resume(self, {tp for tp in tps if not tp.topic.endswith("-changelog")})

    Consumer.resume_partitions = resume_others  # type: ignore[method-assign]


def fetched_and_thrown_away(journal: Journal) -> None:
    """Until the stage seeks, Faust discards all records except the first, and no more records follow.

    Faust does this when it recovers tables: it clears its queues and so loses records that arrive while it looks up the
    committed offsets, and if nothing was committed yet, it does not fetch them again.
    """
    accept, seek = PartitionReader.accept, Consumer.seek
    asked = asyncio.Event()

    async def thrown_away(self: PartitionReader, event: RawEvent) -> Finish | None:
        if event.offset == 0 or asked.is_set():
            return await accept(self, event)
        journal.write("thrown away")
        return None

    async def noted(self: Consumer, partition: TP, offset: int) -> None:
        asked.set()
        await seek(self, partition, offset)

    PartitionReader.accept = thrown_away  # type: ignore[method-assign]
    Consumer.seek = noted  # type: ignore[method-assign]


def _hold(held: Callable[[str], bool], journal: Journal) -> None:
    produce = Producer._produce

    def holding(self: Producer, message: Message, batch: Any) -> None:
        if held(message.topic):
            journal.write("held")
        else:
            produce(self, message, batch)

    Producer._produce = holding  # type: ignore[method-assign]


def _without_offset(offset: int, journal: Journal) -> None:
    accept = PartitionReader.accept

    async def skipping(self: PartitionReader, event: RawEvent) -> Finish | None:
        if event.offset != offset:
            return await accept(self, event)
        journal.write("skipped")
        return None

    PartitionReader.accept = skipping  # type: ignore[method-assign]


def _silent_from(offset: int, journal: Journal) -> None:
    accept = PartitionReader.accept

    async def silent(self: PartitionReader, event: RawEvent) -> Finish | None:
        if event.offset >= offset:
            journal.write("silent")
            await asyncio.Event().wait()
        return await accept(self, event)

    PartitionReader.accept = silent  # type: ignore[method-assign]


BY_NAME: dict[str, Callable[[Journal], None]] = {
    fault.__name__: fault
    for fault in (
        changelog_never_delivered,
        words_never_delivered,
        first_record_skipped,
        second_record_skipped,
        second_record_skipped_once,
        silent_from_the_start,
        silent_after_the_first,
        recovery_never_ends,
        changelog_never_read,
        fetched_and_thrown_away,
    )
}
