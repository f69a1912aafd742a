"""Faust's Kafka consumer, changed to read committed records only and to pass on many at a time.

For each record Faust wakes two tasks, takes a lock, passes a queue and runs a generator, which costs as much as the
stage's own work. Here the records of a partition are the value of one message; changelogs go one by one, as recovery
expects them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

import faust
from faust.transport.drivers import aiokafka
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message

from nightdesk.messaging import record_batches
from nightdesk.messaging.batch_bytes import BROKER_TIME
from nightdesk.streams.runtime.consuming.fetch_thread import FetchThread
from nightdesk.streams.runtime.consuming.fetches import Fetched
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.membership.coordinator import Membership


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
    headers, is_broker_time = tuple(record.headers), record.timestamp_type == BROKER_TIME
    timestamp = (record.timestamp or 0) / 1000
    return RawEvent(tp, record.offset, timestamp, record.key, record.value, headers, is_broker_time=is_broker_time)
