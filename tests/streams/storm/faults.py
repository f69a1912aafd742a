"""What a worker is made to suffer: patches that the worker applies to itself, by name.

Called by the worker before the stage is built, after a protection was taken away. Each makes certain a moment that in
production is a matter of luck.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from faust.tables.recovery import Recovery
from faust.transport.consumer import Consumer
from faust.types import TP

from schemas.topics import AUDIT
from streams.runtime.delivery import RawEvent
from streams.runtime.intake import Finish, Intake
from streams.runtime.producer import Message, Producer
from tests.streams.storm.conversation import Journal


def changelog_never_delivered(journal: Journal) -> None:
    """Facts wait in the producer."""
    _hold(lambda topic: topic.endswith("-changelog"), journal)


def words_never_delivered(journal: Journal) -> None:
    """Words wait in the producer."""
    _hold(lambda topic: topic.endswith(AUDIT.name), journal)


def first_record_skipped(journal: Journal) -> None:
    """Faust never hands over the record at offset 0."""
    _without_offset(0, journal)


def second_record_skipped(journal: Journal) -> None:
    """Faust never hands over the record at offset 1."""
    _without_offset(1, journal)


def silent_from_the_start(journal: Journal) -> None:
    """Faust never hands over anything."""
    _silent_from(0, journal)


def silent_after_the_first(journal: Journal) -> None:
    """Faust hands over offset 0, and then nothing more."""
    _silent_from(1, journal)


def recovery_never_ends(journal: Journal) -> None:
    """The tables are read for ever."""

    async def read_on(self: Recovery, generation_id: int = 0) -> None:
        journal.write("recovering")
        await asyncio.Event().wait()

    Recovery.on_recovery_completed = read_on  # type: ignore[method-assign]


def changelog_never_read(journal: Journal) -> None:
    """Faust never gets a record of the changelog, as it sometimes does not when the broker was away."""
    resume = Consumer.resume_partitions

    def resume_others(self: Consumer, tps: Iterable[TP]) -> None:
        journal.write("recovering")
        resume(self, {tp for tp in tps if not tp.topic.endswith("-changelog")})

    Consumer.resume_partitions = resume_others  # type: ignore[method-assign]


def fetched_and_thrown_away(journal: Journal) -> None:
    """Until the stage asks for a place in the log, Faust throws away all but the first record, and nothing follows.

    It does so where it recovers tables: records that arrive while it looks up the committed offsets are lost when it
    clears its queues, and where nothing was committed yet it does not go back for them.
    """
    accept, seek = Intake.accept, Consumer.seek
    asked = asyncio.Event()

    async def thrown_away(self: Intake, event: RawEvent) -> Finish | None:
        if event.offset == 0 or asked.is_set():
            return await accept(self, event)
        journal.write("thrown away")
        return None

    async def noted(self: Consumer, partition: TP, offset: int) -> None:
        asked.set()
        await seek(self, partition, offset)

    Intake.accept = thrown_away  # type: ignore[method-assign]
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
    accept = Intake.accept

    async def skipping(self: Intake, event: RawEvent) -> Finish | None:
        if event.offset != offset:
            return await accept(self, event)
        journal.write("skipped")
        return None

    Intake.accept = skipping  # type: ignore[method-assign]


def _silent_from(offset: int, journal: Journal) -> None:
    accept = Intake.accept

    async def silent(self: Intake, event: RawEvent) -> Finish | None:
        if event.offset >= offset:
            journal.write("silent")
            await asyncio.Event().wait()
        return await accept(self, event)

    Intake.accept = silent  # type: ignore[method-assign]


BY_NAME: dict[str, Callable[[Journal], None]] = {
    fault.__name__: fault
    for fault in (
        changelog_never_delivered,
        words_never_delivered,
        first_record_skipped,
        second_record_skipped,
        silent_from_the_start,
        silent_after_the_first,
        recovery_never_ends,
        changelog_never_read,
        fetched_and_thrown_away,
    )
}
