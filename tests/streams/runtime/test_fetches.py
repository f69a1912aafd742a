"""What a request takes is delivered or given back, with aiokafka's own fetcher and positions."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher, FetchResult
from faust.types import TP

from nightdesk.streams.runtime import faust_app
from nightdesk.streams.runtime.consuming.batches import BatchConsumer
from nightdesk.streams.runtime.consuming.fetch_thread import FetchThread
from nightdesk.streams.runtime.consuming.fetches import RECORDS_AT_ONCE, Fetched, Taken
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.policy import WorkerPolicy

STAGE, OTHER, CHANGELOG = TP("ingest", 0), TP("ingest", 1), TP("seen-changelog", 0)
ALL = {STAGE, OTHER, CHANGELOG}
# Longer than any of these tests takes: whoever waits for it has not been woken.
LONG_S = 60.0


class Log:
    """Stands for `PartitionRecords`, the records of a response."""

    def __init__(self, tp: TP, first: int, end: int) -> None:
        self._tp = tp
        self._end = end
        self.next_fetch_offset = first

    def __iter__(self) -> Iterator[Any]:
        while self.next_fetch_offset < self._end:
            offset = self.next_fetch_offset
            self.next_fetch_offset += 1
            yield SimpleNamespace(
                topic=self._tp.topic,
                partition=self._tp.partition,
                offset=offset,
                timestamp=0,
                timestamp_type=0,
                key=b"k",
                value=b"v",
                headers=(),
                checksum=None,
                serialized_key_size=1,
                serialized_value_size=1,
            )


class OneThread(FetchThread):
    """The fetching thread's methods, called at once."""

    async def call_thread(self, fun: Any, *args: Any, **kwargs: Any) -> Any:
        return await fun(*args, **kwargs)

    def wake(self) -> None:
        self._wake()


class Group:
    """A consumer of Faust's, with aiokafka's consumer behind it, and a broker that has whatever is asked for."""

    def __init__(self, consumer: BatchConsumer, kafka: AIOKafkaConsumer) -> None:
        self.consumer = consumer
        self.kafka = kafka

    async def assign(self, positions: dict[TP, int]) -> None:
        """A rebalance, up to where Faust asks for the recovery."""
        self.kafka._subscription.assign_from_subscribed(list(positions))
        for _ in range(4):  # turns in which aiokafka's fetcher forgets what it has of the assignment before
            await asyncio.sleep(0)
        for tp, offset in positions.items():
            self.kafka.seek(tp, offset)
        self.consumer._set_active_tps(set(positions))
        self.consumer.pause_partitions(positions)
        self.consumer._is_open, self.consumer._is_assigned = False, True
        self.consumer.resume_flow()

    def respond(self, tp: TP, first: int, end: int) -> None:
        """Records that the broker sent arrive."""
        assignment, fetcher = self.kafka._subscription.subscription.assignment, self.kafka._fetcher
        records = Log(tp, first, end)
        fetcher._records[tp] = FetchResult(tp, assignment=assignment, partition_records=records, backoff=0)
        for waiter in tuple(fetcher._fetch_waiters):
            fetcher._notify(waiter)

    def position(self, tp: TP) -> int:
        position: int = self.kafka._subscription.subscription.assignment.state_value(tp).position
        return position

    async def deliver(self, timeout_s: float = 0.0) -> list[tuple[TP, int]]:
        """The places and last offsets of what comes next."""
        return [(tp, message.offset) async for tp, message in self.consumer.getmany(timeout_s)]


@asynccontextmanager
async def _group() -> AsyncIterator[Group]:
    app = faust_app.build("fetches", WorkerPolicy({"bootstrap.servers": "127.0.0.1:1"}, "t.", 2, "w0"), Lease(30, 60))
    app.tables._changelogs[CHANGELOG.topic] = SimpleNamespace()  # type: ignore[attr-defined]  # Faust's type is incomplete
    consumer = app.consumer
    assert isinstance(consumer, BatchConsumer)
    consumer._thread.thread_loop.close()
    kafka = AIOKafkaConsumer(max_poll_records=None)
    kafka._subscription.subscribe(topics={tp.topic for tp in ALL})
    cluster = SimpleNamespace(leader_for_partition=lambda _tp: None)
    client = SimpleNamespace(
        _loop=asyncio.get_running_loop(),
        _metadata_max_age_ms=1,
        cluster=cluster,
        force_metadata_update=lambda: asyncio.get_running_loop().create_future(),
    )
    kafka._fetcher = Fetcher(client, kafka._subscription)
    thread = OneThread.__new__(OneThread)
    thread._consumer, thread.consumer = kafka, consumer
    consumer._thread = thread
    try:
        yield Group(consumer, kafka)
    finally:
        await kafka._fetcher.close()
        await kafka.stop()


async def _open(group: Group, *, ready: bool = True) -> None:
    group.consumer.resume_partitions(ALL)
    if ready:
        group.consumer.on_rebalance_end()


async def test_a_request_whose_caller_was_cancelled_is_taken_up_by_the_next() -> None:
    async with _group() as group:
        await group.assign({STAGE: 5, OTHER: 0, CHANGELOG: 0})
        await _open(group)
        caller = asyncio.ensure_future(group.deliver(LONG_S))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        group.respond(STAGE, 5, 8)
        await asyncio.sleep(0)
        assert await group.deliver() == [(STAGE, 7)]


async def test_what_came_while_faust_was_not_ready_comes_again() -> None:
    """Between its seek to the committed offsets and the end of the rebalance Faust clears what was delivered."""
    async with _group() as group:
        await group.assign({STAGE: 5, OTHER: 0, CHANGELOG: 0})
        await _open(group, ready=False)
        group.respond(STAGE, 5, 8)
        group.respond(CHANGELOG, 0, 2)
        assert await group.deliver() == [(CHANGELOG, 0), (CHANGELOG, 1)]
        assert group.position(STAGE) == 5
        group.consumer.on_rebalance_end()
        assert await group.deliver() == [(STAGE, 7)]


async def test_a_waiting_request_delivers_at_once_when_the_rebalance_ends() -> None:
    async with _group() as group:
        await group.assign({STAGE: 5, OTHER: 0, CHANGELOG: 0})
        await _open(group, ready=False)
        group.respond(STAGE, 5, 8)
        caller = asyncio.ensure_future(group.deliver(LONG_S))
        for _ in range(10):  # until it waits for records
            await asyncio.sleep(0)
        group.consumer.on_rebalance_end()
        assert await caller == [(STAGE, 7)]


async def test_the_end_of_an_earlier_rebalance_opens_nothing() -> None:
    async with _group() as group:
        await group.assign({STAGE: 5, OTHER: 0, CHANGELOG: 0})
        group.consumer._is_assigned = False  # revoked again, while Faust ended the rebalance before
        await _open(group)
        group.respond(STAGE, 5, 8)
        assert await group.deliver() == []
        assert group.position(STAGE) == 5


@pytest.mark.parametrize("tp", [STAGE, CHANGELOG])
async def test_records_that_nobody_took_are_given_back(tp: TP) -> None:
    """A partition was paused between the request and its delivery."""
    async with _group() as group:
        await group.assign({STAGE: 5, OTHER: 0, CHANGELOG: 5})
        await _open(group)
        group.respond(tp, 5, 8)
        request = asyncio.ensure_future(group.consumer._fetch(0.0))
        await request
        group.consumer._request = request
        group.consumer.pause_partitions([tp])
        assert await group.deliver() == []
        assert group.position(tp) == 8
        group.consumer.resume_partitions([tp])
        await group.deliver()
        assert group.position(tp) == 5
        group.respond(tp, 5, 8)
        assert (await group.deliver())[-1] == (tp, 7)


async def test_a_partition_is_given_back_from_its_first_record_that_was_not_delivered() -> None:
    async with _group() as group:
        await group.assign({STAGE: 0, OTHER: 0, CHANGELOG: 0})
        await _open(group)
        group.respond(STAGE, 0, 3 * RECORDS_AT_ONCE)
        group.respond(OTHER, 0, 1)
        got = []
        async for tp, message in group.consumer.getmany(0.0):
            got.append((tp, message.offset))
            if tp == OTHER:
                group.consumer.pause_partitions([STAGE])
        group.consumer.resume_partitions([STAGE])
        assert got == [(STAGE, RECORDS_AT_ONCE - 1), (OTHER, 0)]
        await group.deliver()
        assert (group.position(STAGE), group.position(OTHER)) == (RECORDS_AT_ONCE, 1)


async def test_who_sought_meanwhile_and_who_was_assigned_anew_stays_there() -> None:
    async with _group() as group:
        for seek in (lambda: group.kafka.seek(STAGE, 2), None):
            await group.assign({STAGE: 5, OTHER: 0, CHANGELOG: 0})
            await _open(group, ready=False)
            group.consumer._is_open = True
            group.respond(STAGE, 5, 8)
            request = asyncio.ensure_future(group.consumer._fetch(0.0))
            await request
            group.consumer._request = request
            group.consumer._is_open = False
            if seek is None:
                await group.assign({STAGE: 2, OTHER: 0, CHANGELOG: 0})
            else:
                seek()
            assert await group.deliver() == []
            await group.deliver()
            assert group.position(STAGE) == 2


def test_partitions_take_turns_and_keep_their_order() -> None:
    long, short = list(range(2 * RECORDS_AT_ONCE + 1)), [0, 1]
    fetched, turns = Fetched(None, {STAGE: Taken(long, 0), OTHER: Taken(short, 0)}), []
    for tp, records in fetched.round_robin():
        turns.append((tp, list(records)))
        fetched.delivered(tp, len(records))
    assert [tp for tp, _ in turns] == [STAGE, OTHER, STAGE, STAGE]
    assert [record for tp, records in turns if tp == STAGE for record in records] == long


def test_faust_still_takes_its_requests_where_ours_are() -> None:
    """The private names that are replaced: this test fails if Faust renames them."""
    assert "_fetch_records" in vars(faust.transport.drivers.aiokafka.AIOKafkaConsumerThread)
