"""Faust's Kafka consumer, changed to read committed records only and to pass on many at a time.

For each record Faust wakes two tasks, takes a lock, passes a queue and runs a generator, which costs as much as the
stage's own work. Here the records of a partition are the value of one message; changelogs go one by one, as recovery
expects them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message

from nightdesk.messaging import record_batches
from nightdesk.streams.runtime.consuming import offset_gaps
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.membership.coordinator import Membership
from nightdesk.streams.runtime.state.committer import BUSY_RECORDS

# A partition waits for at most this many records of another.
RECORDS_AT_ONCE = 200
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

    def has_fetched(self, records: int) -> None:
        """The number of records of the last request; it determines how long the next one may wait."""
        wait_ms = FETCH_WAIT_MS if records >= BUSY_RECORDS else QUIET_FETCH_WAIT_MS
        assert self._consumer is not None, "whoever has fetched has started"
        self._consumer._fetcher._fetch_max_wait_ms = wait_ms  # read for each request


class BatchConsumer(aiokafka.Consumer):
    """Returns `(partition, message)`; the message's value is a tuple of `RawEvent`, its offset that of the last."""

    _thread: FetchThread
    transport: "BatchTransport"

    def _new_consumer_thread(self) -> FetchThread:
        thread = FetchThread(self, loop=self.loop, beacon=self.beacon)
        thread.client_config = self.transport.client_config
        thread.membership = self.transport.membership
        return thread

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 - Faust's signature
        """The fetched records, as long as the partitions stay ours."""
        fetched, active = await self._wait_next_records(timeout)
        self._thread.has_fetched(sum(map(len, (fetched or {}).values())))
        generation = self.app.consumer_generation_id
        for tp, records in round_robin(fetched or {}):
            if self.should_stop or not self.flow_active or self.app.consumer_generation_id != generation:
                return
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                continue
            if self._is_changelog_tp(tp):
                for record in records:
                    yield tp, self._to_message(tp, record)
            else:
                yield tp, self._together(tp, records)

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


def round_robin(fetched: Mapping[TP, Sequence[Any]]) -> Iterator[tuple[TP, Sequence[Any]]]:
    """Each partition's records in order, at most `RECORDS_AT_ONCE` of each in turn."""
    longest = max(map(len, fetched.values()), default=0)
    for start in range(0, longest, RECORDS_AT_ONCE):
        for tp, records in fetched.items():
            if start < len(records):
                yield tp, records[start : start + RECORDS_AT_ONCE]


def _raw(tp: TP, record: Any) -> RawEvent:
    if type(record) is record_batches.Unreadable:
        records = record.offset - record.first_offset + 1
        return RawEvent(tp, record.first_offset, 0.0, None, None, (), records, record.reason)
    return RawEvent(tp, record.offset, (record.timestamp or 0) / 1000, record.key, record.value, tuple(record.headers))
