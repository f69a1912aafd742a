"""What is in flight in a stage when its partitions are revoked, and what time causes then."""

import asyncio
from functools import partial

import pytest
from faust.types import TP

from schemas.records import Event
from schemas.topics import INGEST
from streams.runtime import stage as stage_module
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Conversation, Route, conversing
from streams.runtime.policy import WorkerPolicy
from streams.runtime.positions import Position
from streams.runtime.stage import Commit, Stage
from streams.runtime.tables import FactTable
from tests.streams.runtime.arrivals import arrival
from tests.streams.storm.conversation import local_codec
from tests.streams.storm.events import event

INGEST_0 = TP("t." + INGEST.name, 0)


class Slow:
    """A stage whose conversations take until they are let go."""

    name = "slow"
    table_names: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.effects: list[str] = []
        self.let_go = asyncio.Event()

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, conversing(self.take)),)

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None: ...

    def recovered(self) -> None: ...

    def tick(self, partition: int, changes: Changes) -> None: ...

    async def close(self) -> None: ...

    async def take(self, delivery: Delivery[Event], changes: Changes) -> None:
        self.begun.append(delivery.record.id)
        await self.let_go.wait()
        self.effects.append(delivery.record.id)


class Remembering(Slow):
    """A stage that writes whenever time passes."""

    table_names = ("times",)

    def bind(self, tables: dict[str, FactTable], commit: Commit) -> None:
        self.times = tables["times"]

    def tick(self, partition: int, changes: Changes) -> None:
        changes.put(self.times, "last", b"now")


class Mixed(Slow):
    """A stage that has to wait for the first record alone."""

    def routes(self) -> tuple[Route, ...]:
        return (Route(INGEST, self.take_or_wait),)

    def take_or_wait(self, delivery: Delivery[Event], changes: Changes) -> Conversation | None:
        if delivery.offset == 0:
            return partial(self.take, delivery, changes)
        self.begun.append(delivery.record.id)
        return None


def _stage(handlers: Slow) -> Stage:
    policy = WorkerPolicy({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, "t.", 1, "w0")
    return Stage(handlers, local_codec(), policy)


async def _with(handlers: Slow, subjects: str) -> Stage:
    """A stage that owns its partition, to which a record of each of these subjects has come."""
    stage = _stage(handlers)
    stage._intake._positions[INGEST_0] = Position(0)
    for offset, subject in enumerate(subjects):
        await _arrive(stage, offset, subject)
    return stage


async def _arrive(stage: Stage, offset: int, subject: str) -> None:
    arrived = arrival(INGEST_0, offset, subject.encode(), local_codec().encode(event(offset, subject)))
    finish = await stage._intake.accept(arrived)
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


async def test_a_conversation_that_is_cancelled_before_it_begins_leaves_nothing_behind() -> None:
    handlers = Slow()
    stage = await _with(handlers, "a")
    stage._dispatcher.cancel()
    await asyncio.sleep(0.01)
    assert handlers.begun == []


async def test_a_record_that_came_before_is_passed_over() -> None:
    handlers = Slow()
    stage = _stage(handlers)
    stage._intake._positions[INGEST_0] = Position(1)
    await _arrive(stage, 0, "a")
    await asyncio.sleep(0.01)
    assert handlers.begun == []


async def test_time_causes_nothing_on_a_partition_whose_tables_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look whether we are ready and the tick, a rebalance may have taken the tables away."""
    handlers = Remembering()
    stage = _stage(handlers)
    monkeypatch.setattr(stage, "_owned", lambda: {0})
    stage._tick()
    assert handlers.times.read(0, "last") is None
    await handlers.times.on_recovery_completed({TP(handlers.times._changelog_name, 0)}, set())
    stage._tick()
    assert handlers.times.read(0, "last") == b"now"
