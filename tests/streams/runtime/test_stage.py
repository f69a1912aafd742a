"""What is in flight in a stage when its partitions are revoked, and what its ticks cause then."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

import pytest
from faust.types import TP
from pydantic import BaseModel

from nightdesk.schemas.records import Event
from nightdesk.schemas.topics import INGEST
from nightdesk.streams.api import AsyncHandler, Delivery, Route, Stage, StagedWrites, Table, async_handler
from nightdesk.streams.runtime import stage_worker as stage_module
from nightdesk.streams.runtime.consuming.offset_tracker import OffsetTracker
from nightdesk.streams.runtime.handling.dispatcher import HOT_KEY_RECORDS
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.stage_worker import StageWorker
from nightdesk.streams.runtime.state.committer import BUSY_RECORDS
from tests.streams.fault_injection.conversation import local_codec
from tests.streams.fault_injection.events import event
from tests.streams.runtime.arrivals import arrival

INGEST_0 = TP("t." + INGEST.name, 0)


class Slow(Stage):
    """A stage whose handlers wait until the test lets them go on."""

    name = "slow"

    def __init__(self) -> None:
        super().__init__()
        self.begun: list[str] = []
        self.effects: list[str] = []
        self.let_go = asyncio.Event()

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, async_handler(self.take)),)

    async def take(self, delivery: Delivery[Event], writes: StagedWrites) -> None:
        self.begun.append(delivery.record.id)
        await self.let_go.wait()
        self.effects.append(delivery.record.id)


class Moment(BaseModel):
    at: str


class Remembering(Slow):
    """A stage that writes at every tick."""

    def __init__(self) -> None:
        super().__init__()
        self.times = Table("times", Moment)
        self.tables = (self.times,)

    def tick(self, partition: int, writes: StagedWrites) -> None:
        self.times.put(writes, "last", Moment(at="now"))


class Mixed(Slow):
    """A stage that has to wait only for the first record."""

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, self.take_or_wait),)

    def take_or_wait(self, delivery: Delivery[Event], writes: StagedWrites) -> AsyncHandler | None:
        if delivery.offset == 0:
            return partial(self.take, delivery, writes)
        self.begun.append(delivery.record.id)
        return None


def _stage(handlers: Slow) -> StageWorker:
    policy = WorkerPolicy({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, "t.", 1, "w0")
    stage = StageWorker(handlers, local_codec(), policy)
    stage._lease.renew(boottime_s())
    return stage


async def _with(handlers: Slow, subjects: Sequence[str]) -> StageWorker:
    """A stage that owns its partition and has received a record of each of these subjects."""
    stage = _stage(handlers)
    stage._reader._positions[INGEST_0] = OffsetTracker(0)
    for offset, subject in enumerate(subjects):
        await _arrive(stage, offset, subject)
    return stage


async def _arrive(stage: StageWorker, offset: int, subject: str) -> None:
    arrived = arrival(INGEST_0, offset, subject.encode(), local_codec().encode(event(offset, subject)))
    finish = await stage._reader.accept(arrived)
    if finish is not None:
        stage._dispatcher.dispatch(arrived, finish)


async def test_no_conversation_outlives_its_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one subject wait for each other: the first of them is cancelled as well as the last."""
    monkeypatch.setattr(stage_module, "REVOKE_DRAIN_S", 0.01)
    handlers = Slow()
    stage = await _with(handlers, "aab")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert handlers.begun == ["e-0", "e-2"]
    await stage._on_revoked(stage.app, {INGEST_0})
    handlers.let_go.set()
    await asyncio.sleep(0.05)
    assert handlers.effects == []


async def test_one_subject_waits_for_itself_and_for_nobody_else() -> None:
    handlers = Slow()
    await _with(handlers, "aab")
    await asyncio.sleep(0.01)
    assert handlers.begun == ["e-0", "e-2"]
    handlers.let_go.set()
    await asyncio.sleep(0.05)
    assert sorted(handlers.begun) == ["e-0", "e-1", "e-2"]
    assert handlers.begun[-1] == "e-1"


async def test_what_need_not_wait_is_done_at_once_but_never_before_a_conversation_of_its_subject() -> None:
    handlers = Mixed()
    await _with(handlers, "aab")
    assert handlers.begun == ["e-2"]
    await asyncio.sleep(0.01)
    assert handlers.begun == ["e-2", "e-0"]
    handlers.let_go.set()
    await asyncio.sleep(0.05)
    assert handlers.begun == ["e-2", "e-0", "e-1"]


@pytest.mark.parametrize(
    ("subjects", "is_busy"),
    [
        ("a" * (BUSY_RECORDS - 1), False),
        ("a" * BUSY_RECORDS, False),  # all wait for the first, and none can join its group
        ([f"s{number}" for number in range(BUSY_RECORDS)], True),
        ([*(f"s{number}" for number in range(BUSY_RECORDS)), *["hot"] * HOT_KEY_RECORDS], True),
        ([*(f"s{number}" for number in range(BUSY_RECORDS)), *["hot"] * (HOT_KEY_RECORDS + 1)], False),
    ],
)
async def test_a_stage_is_busy_while_records_can_join_a_group(subjects: Sequence[str], is_busy: bool) -> None:
    handlers = Slow()
    stage = await _with(handlers, subjects)
    assert stage._is_busy() is is_busy
    handlers.let_go.set()
    async with asyncio.timeout(60):  # each of a key waits for the one before it, and the machine may be busy
        while stage._dispatcher.has_hot_key:  # noqa: ASYNC110 - the stage has no event for it
            await asyncio.sleep(0.01)


async def test_what_waited_for_a_lost_partition_makes_no_key_hot() -> None:
    stage = await _with(Slow(), "a" * BUSY_RECORDS)
    stage._dispatcher.cancel()
    assert not stage._dispatcher.has_hot_key


async def test_a_conversation_that_is_cancelled_before_it_begins_leaves_nothing_behind() -> None:
    handlers = Slow()
    stage = await _with(handlers, "a")
    stage._dispatcher.cancel()
    await asyncio.sleep(0.01)
    assert handlers.begun == []


async def test_a_record_that_came_before_is_passed_over() -> None:
    handlers = Slow()
    stage = _stage(handlers)
    stage._reader._positions[INGEST_0] = OffsetTracker(1)
    await _arrive(stage, 0, "a")
    await asyncio.sleep(0.01)
    assert handlers.begun == []


async def test_time_causes_nothing_on_a_partition_whose_tables_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rebalance may have taken the tables away between the check for readiness and the tick."""
    handlers = Remembering()
    stage = _stage(handlers)
    monkeypatch.setattr(stage._ownership, "partitions", lambda: {0})
    stage._tick()
    assert handlers.times.get(0, "last") is None
    [times] = stage._tables
    await times.on_recovery_completed({TP(times.store.changelog_topic, 0)}, set())
    stage._tick()
    assert handlers.times.get(0, "last") == Moment(at="now")


class Deriving(Slow):
    """A stage with several tables that derives state from them in slices."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = tuple(Table(name, Moment) for name in ("one", "two", "three"))
        self.slices: list[int] = []
        self.recoveries = 0
        self.count = 3

    def recovered(self) -> Iterator[None]:
        self.recoveries += 1
        for number in range(self.count):
            self.slices.append(number)
            yield


async def _recovered(stage: StageWorker) -> None:
    """As Faust does it: every table at once, and each once."""
    await asyncio.gather(*(table.on_recovery_completed({INGEST_0}, set()) for table in stage._tables))


async def test_what_is_derived_from_the_tables_is_derived_once_for_an_assignment() -> None:
    handlers = Deriving()
    stage = _stage(handlers)
    await _recovered(stage)
    assert (handlers.recoveries, handlers.slices) == (1, [0, 1, 2])
    await _recovered(stage)
    assert handlers.recoveries == 2


async def test_between_two_slices_the_loop_turns() -> None:
    handlers = Deriving()
    recovering = asyncio.ensure_future(_recovered(_stage(handlers)))
    seen = []
    while not recovering.done():
        await asyncio.sleep(0)
        seen.append(len(handlers.slices))
    assert {1, 2, 3} <= set(seen)


async def test_a_derivation_ends_when_the_partitions_are_assigned_anew() -> None:
    handlers = Deriving()
    handlers.count = 30
    stage = _stage(handlers)
    first = asyncio.ensure_future(_recovered(stage))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert handlers.slices
    await asyncio.gather(first, _recovered(stage))
    assert handlers.recoveries == 2
    assert len(handlers.slices) < 60


async def test_a_stage_that_cannot_derive_does_not_go_on_with_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []
    monkeypatch.setattr(stage_module, "fail_stop", lambda code, reason: ended.append(reason))
    handlers = Deriving()
    stage = _stage(handlers)

    def broken() -> Iterator[None]:
        yield
        raise ValueError("a fact that nobody can read")

    monkeypatch.setattr(handlers, "recovered", broken)
    with pytest.raises(ValueError, match="nobody can read"):
        await stage._on_recovered()
    assert "a fact that nobody can read" in ended[0]
