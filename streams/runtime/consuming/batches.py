"""Faust's Kafka consumer, changed to read committed records only and to pass on many at a time.

For each record Faust wakes two tasks, takes a lock, passes a queue and runs a generator, which costs as much as the
stage's own work. Here the records of a partition are the value of one message; changelogs go one by one, as recovery
expects them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message

from nightdesk.messaging import record_batches
from nightdesk.streams.runtime.consuming import offset_gaps
from nightdesk.streams.runtime.consuming.fetches import Fetched, Taken
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.membership.coordinator import Membership
from nightdesk.streams.runtime.state.committer import BUSY_RECORDS

# How long a fetch request waits at the broker for records. Partitions with fetched records are not part of the request.
# With Faust's 1.5 s a busy stage stood still for that long with its next records ready.
FETCH_WAIT_MS = 100
# After few records nothing is left to process, so all partitions are in the request and the first record ends its wait:
# a quiet stage need not ask ten times a second.
QUIET_FETCH_WAIT_MS = 500


class FetchThread(aiokafka.AIOKafkaConsumerThread):
    """Faust's fetching thread, with our wait times and our isolation level."""

    # The connection settings, for requests that aiokafka cannot make.
    client_config: Mapping[str, Any]
    membership: Membership

    def _create_worker_consumer(self, transport: aiokafka.Transport) -> AIOKafkaConsumer:
        record_batches.install()
        consumer = super()._create_worker_consumer(transport)
        # Both are read when it starts, and Faust has no setting for them: its read_committed comes only with
        # exactly_once.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._isolation_level = "read_committed"
        self.membership.watch(consumer)
        return consumer

    async def _highwaters(self, partitions: list[TP]) -> Mapping[TP, int]:
        """The offsets at which recovery ends. Faust waits for the record before each, so it must be one that can be
        read.
        """
        ends = {(tp.topic, tp.partition): end for tp, end in (await super()._highwaters(partitions)).items()}
        found = await asyncio.to_thread(offset_gaps.readable_ends, self.client_config, ends)
        return {TP(*place): end for place, end in found.items()}

    def highwater(self, tp: TP) -> int | None:  # type: ignore[override]  # aiokafka's may be None too
        """Where the log of a partition ends, as far as it is known. aiokafka's own ends the worker with an assertion if
        a rebalance has just taken the partition away.
        """
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        state = None if assignment is None else assignment.state_value(tp)
        return None if state is None else state.highwater

    async def _fetch_records(  # type: ignore[override]  # Faust's returns the records alone
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: Any,
        timeout: float | None = None,  # noqa: ASYNC109 - Faust's signature
        max_records: int | None = None,
    ) -> Fetched:
        records = await super()._fetch_records(consumer, active_partitions, timeout, max_records)
        if not records:
            return Fetched()
        assignment = consumer._subscription.subscription.assignment
        return Fetched(
            assignment,
            {TP(*tp): Taken(some, assignment.state_value(tp).position) for tp, some in records.items()},
        )

    async def give_back(self, fetched: Fetched) -> None:
        """Move positions back to what was not delivered."""
        await self.call_thread(self._give_back, fetched)

    async def _give_back(self, fetched: Fetched) -> None:
        fetched.give_back(self.seek)

    def is_assigned(self, assignment: Any) -> bool:
        """Whether this is the assignment of now."""
        subscription = self._ensure_consumer()._subscription.subscription
        return subscription is not None and subscription.assignment is assignment

    def wake(self) -> None:
        """Let a request that waits for records look again which ones may be delivered."""
        if self._consumer is not None:
            self.thread_loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        fetcher = self._ensure_consumer()._fetcher
        for waiter in tuple(fetcher._fetch_waiters):
            fetcher._notify(waiter)

    def has_fetched(self, records: int) -> None:
        """The number of records of the last request; it determines how long the next one may wait."""
        wait_ms = FETCH_WAIT_MS if records >= BUSY_RECORDS else QUIET_FETCH_WAIT_MS
        assert self._consumer is not None, "whoever has fetched has started"
        self._consumer._fetcher._fetch_max_wait_ms = wait_ms  # read for each request


class _Wanted:
    """The partitions that a request may take at this moment. Faust's own set would let it take every partition whenever
    it is empty.
    """

    def __init__(self, contains: Callable[[TP], bool]) -> None:
        self._contains = contains

    def __contains__(self, tp: TP) -> bool:
        return self._contains(tp)


class BatchConsumer(aiokafka.Consumer):
    """Returns `(partition, message)`; the message's value is a tuple of `RawEvent`, its offset that of the last.

    Every record that a request takes is delivered, or its partition is moved back (`fetches.py`). There is one request
    at a time: one whose caller was cancelled is taken up by the next caller. Records of the stage's topics are
    delivered only when Faust has ended the rebalance, because it clears its queues at that moment.
    """

    _thread: FetchThread
    transport: "BatchTransport"
    _request: "asyncio.Future[Fetched] | None" = None
    # What the last request took.
    _last: Fetched | None = None
    # Whether the partitions were assigned since they were last revoked, and whether Faust has ended that rebalance.
    _is_assigned = _is_open = False

    def _new_consumer_thread(self) -> FetchThread:
        thread = FetchThread(self, loop=self.loop, beacon=self.beacon)
        thread.client_config = self.transport.client_config
        thread.membership = self.transport.membership
        return thread

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 - Faust's signature
        """The fetched records, as long as the partitions stay ours."""
        fetched = await self._fetch(timeout)
        self._thread.has_fetched(fetched.size)
        for tp, records in fetched.round_robin():
            if self.should_stop or not self.flow_active or not self._thread.is_assigned(fetched.assignment):
                return
            if not self._may_deliver(tp):
                continue
            if self._is_changelog_tp(tp):
                for record in records:
                    yield tp, self._to_message(tp, record)
                    fetched.delivered(tp, 1)
            else:
                yield tp, self._together(tp, records)
                fetched.delivered(tp, len(records))

    async def _fetch(self, timeout: float) -> Fetched:  # noqa: ASYNC109 - Faust's signature
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]  # Faust's own call of it
        if self._request is None:
            self._request = asyncio.ensure_future(self._request_records(timeout))
        request = self._request
        try:
            fetched = await asyncio.shield(request)
        except Exception:
            self._request = None
            raise
        self._request, self._last = None, fetched
        return fetched

    async def _request_records(self, timeout: float) -> Fetched:  # noqa: ASYNC109 - Faust's signature
        if self._last is not None:
            await self._thread.give_back(self._last)
        return await self._thread.getmany(_Wanted(self._may_request), timeout)  # type: ignore[arg-type,return-value]  # it need only contain partitions; ours returns `Fetched`

    def _may_request(self, tp: TP) -> bool:
        """Asked by the fetching thread."""
        return tp in self._active_partitions and (self._is_open or self._is_changelog_tp(tp))

    def _may_deliver(self, tp: TP) -> bool:
        """Also if the partition's queue has become full since the request."""
        return self._may_request(tp) or (self._is_open and tp in self._buffered_partitions)

    # -- when records may be delivered

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Deliver nothing more until the next rebalance is over."""
        self._is_assigned = self._is_open = False
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The recovery of these partitions has been requested when this returns."""
        self._is_open = False
        await super().on_partitions_assigned(assigned, generation_id)
        self._is_assigned = True
        if not self.app.rebalancing:
            self.on_rebalance_end()  # there was nothing to recover, and it came before this

    def on_rebalance_end(self) -> None:
        """Faust is ready for the records of the stage; it also says so when the next rebalance has begun already."""
        self._is_open = self._is_assigned
        self._thread.wake()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """A waiting request looks at them at once."""
        super().resume_partitions(tps)
        self._thread.wake()

    def on_buffer_drop(self, tp: TP) -> None:
        """The partition's queue has room again."""
        super().on_buffer_drop(tp)
        self._thread.wake()

    def _together(self, tp: TP, records: Sequence[Any]) -> Message:
        """Without key and headers, because Faust would act on foreign headers."""
        events = tuple(_raw(tp, record) for record in records)
        last = events[-1]
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=last.offset + last.records - 1,
            timestamp=last.timestamp,
            timestamp_type=0,
            headers=[],
            key=None,
            value=events,  # type: ignore[arg-type]  # only our stage unpacks it
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def rejoin(self) -> None:
        """Ask the group for a new assignment, without leaving it."""

        async def request() -> None:
            consumer = self._thread._consumer
            assert consumer is not None, "whoever has partitions has started"
            consumer._coordinator.request_rejoin()  # aiokafka has no public way

        await self._thread.call_thread(request)

    async def leave(self) -> None:
        """Leave the group for good. Raises `KafkaError`."""
        await self._thread.call_thread(self.transport.membership.leave)

    async def _seek(self, partition: TP, offset: int) -> None:
        """Seek on the fetching thread. Faust seeks on ours and drops the fetched records of the partition, also while
        the other thread passes them on: a KeyError there ends the worker.
        """

        async def seek() -> None:
            self._thread.seek(partition, offset)

        await self._thread.call_thread(seek)


class BatchTransport(aiokafka.Transport):
    """Faust's aiokafka transport with that consumer."""

    Consumer = BatchConsumer
    client_config: Mapping[str, Any]
    membership: Membership


def enable_batching(app: faust.App, client_config: Mapping[str, Any], membership: Membership) -> None:
    """Let `app` consume in batches. `client_config` reaches the same broker as the app; `membership` receives the group
    coordinator's responses.
    """
    transport = BatchTransport(app.conf.broker_consumer, app)
    transport.client_config = client_config
    transport.membership = membership
    app.transport = transport


def _raw(tp: TP, record: Any) -> RawEvent:
    if type(record) is record_batches.Unreadable:
        records = record.offset - record.first_offset + 1
        return RawEvent(tp, record.first_offset, 0.0, None, None, (), records, record.reason)
    return RawEvent(tp, record.offset, (record.timestamp or 0) / 1000, record.key, record.value, tuple(record.headers))
