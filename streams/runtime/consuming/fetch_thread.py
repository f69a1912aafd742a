"""The thread on which Faust fetches: with our wait times, our isolation level, and what was taken by whom.

Started by the consumer of `batches.py`, whose calls reach it through a queue.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka
from faust.types import TP

from nightdesk.messaging import record_batches
from nightdesk.streams.runtime.consuming import offset_gaps
from nightdesk.streams.runtime.consuming.fetches import Fetched, Taken
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
        read. aiokafka takes the first record of an open transaction for the end, so none may be open.
        """
        places = [(tp.topic, tp.partition) for tp in partitions]
        await asyncio.to_thread(offset_gaps.wait_until_readable, self.client_config, places)
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
