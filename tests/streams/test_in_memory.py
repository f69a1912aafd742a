"""A list of records drives a stage: state, then output, then the offset; a handler that raises leaves nothing."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from nightdesk.schemas.records import AuditRecord, Event
from nightdesk.schemas.topics import AUDIT, INGEST
from nightdesk.streams.api import Commit, Delivery, Route, Stage, StagedWrites, Table, async_handler
from nightdesk.streams.in_memory import InMemoryStage
from tests.processors.examples import NOW, event
from tests.streams.fault_injection.conversation import local_codec

CODEC = local_codec()
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Count(BaseModel):
    count: int


class Counting(Stage):
    """Counts the events of a subject, and derives their sum."""

    name = "counting"

    def __init__(self) -> None:
        super().__init__(lambda: NOW)
        self._counts = Table("counts", Count)
        self.tables = (self._counts,)
        self.total = 0
        self._commit: Commit

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, async_handler(self._count)),)

    def bind(self, commit: Commit) -> None:
        self._commit = commit

    def recovered(self) -> Iterator[None]:
        self.total = 0
        for entries in self._counts.slices():
            self.total += sum(count.count for _, _, count in entries)
            yield

    def tick(self, partition: int, writes: StagedWrites) -> None:
        self._counts.put_after_emit(writes, "ticked", Count(count=0))

    async def _count(self, delivery: Delivery[Event], writes: StagedWrites) -> None:
        known = self._counts.get(delivery.partition, delivery.record.subject)
        counted = Count(count=1 if known is None else known.count + 1)
        if counted.count == 2:
            step = writes.empty()
            self._counts.put(step, "second", Count(count=0))
            await self._commit(step)
        self._counts.put(writes, delivery.record.subject, counted)
        writes.audit(_line(delivery.record, counted))
        if counted.count == 3:
            raise ValueError("three are too many")


def _line(one: Event, counted: Count) -> AuditRecord:
    return AuditRecord(
        record_id=f"{one.subject}:{counted.count}",
        kind="received",
        time=NOW,
        subject=one.subject,
        event_id=one.id,
        status="running",
        reason=str(counted.count),
    )


def _delivery(offset: int) -> Delivery[Event]:
    return Delivery(event(), INGEST, 0, offset, TRACE)


async def test_state_is_durable_then_output_then_the_offset() -> None:
    driver = InMemoryStage(Counting(), CODEC)
    for offset in range(2):
        await driver.handle(_delivery(offset))
    assert [message.key for message in driver.changelog] == [b"t-1", b"second", b"t-1"]
    assert [(message.topic, message.headers) for message in driver.output] == [
        (AUDIT.name, (("traceparent", TRACE.encode()),))
    ] * 2
    assert driver.committed == {("ingest", 0): 2}


async def test_a_handler_that_raises_leaves_nothing_behind() -> None:
    driver = InMemoryStage(Counting(), CODEC)
    for offset in range(2):
        await driver.handle(_delivery(offset))
    before = list(driver.changelog), list(driver.output)
    with pytest.raises(ValueError, match="three"):
        await driver.handle(_delivery(2))
    assert (driver.changelog, driver.output) == before
    assert driver.committed == {("ingest", 0): 2}


async def test_another_process_goes_on_from_the_changelog() -> None:
    first = InMemoryStage(Counting(), CODEC)
    for offset in range(2):
        await first.handle(_delivery(offset))
    heir = Counting()
    second = InMemoryStage(heir, CODEC, changelog=first.changelog)
    assert heir.total == 2
    assert second.changelog == first.changelog
    with pytest.raises(ValueError, match="three"):
        await second.handle(_delivery(2))


def test_what_a_tick_marks_is_durable_after_its_output() -> None:
    driver = InMemoryStage(Counting(), CODEC)
    writes = driver.tick(0)
    assert [message.key for message in driver.changelog] == [b"ticked"]
    assert (writes.partition, writes.headers, len(writes.puts_after_emit)) == (0, (), 1)
