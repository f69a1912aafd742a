"""Faust's Kafka consumer, handing on many records at a time.

Named in `faust_app.py`, unpacked by the stage. For each record Faust wakes two tasks, takes a lock, passes a queue and
runs a generator, which costs as much as what a stage does with it. Here the records of a partition travel together as
the value of one message; changelogs go one by one, as recovery expects them.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer
from faust.transport.drivers import aiokafka
from faust.types import TP
from faust.types.tuples import ConsumerMessage, Message

from streams.runtime.committer import BUSY_RECORDS
from streams.runtime.delivery import RawEvent

# No partition waits for longer than so many records of another.
RECORDS_AT_ONCE = 200
# A request for what has come waits for so long at the broker, and a partition that still had records here when it left
# is not in it. Faust says 1.5 s: so long stood a busy stage still, with its next records ready.
FETCH_WAIT_MS = 100
# When few came nothing is left here, so all partitions are in the request and the first record ends its wait: a quiet
# stage need not ask ten times a second.
QUIET_FETCH_WAIT_MS = 500


class FetchThread(aiokafka.AIOKafkaConsumerThread):
    """Faust's thread that fetches, with our patience."""

    def _create_worker_consumer(self, transport: aiokafka.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # read when it starts; Faust has no setting for it
        return consumer

    def has_fetched(self, records: int) -> None:
        """So many came with the last request: how long may the next one wait?"""
        wait_ms = FETCH_WAIT_MS if records >= BUSY_RECORDS else QUIET_FETCH_WAIT_MS
        assert self._consumer is not None, "whoever has fetched has started"
        self._consumer._fetcher._fetch_max_wait_ms = wait_ms  # read for each request


class BatchConsumer(aiokafka.Consumer):
    """Gives `(partition, message)` whose value is a tuple of `RawEvent`, its offset that of the last."""

    _thread: FetchThread

    def _new_consumer_thread(self) -> FetchThread:
        return FetchThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 - Faust's signature
        """What was fetched, as long as the partitions stay ours."""
        fetched, active = await self._wait_next_records(timeout)
        self._thread.has_fetched(sum(map(len, (fetched or {}).values())))
        generation = self.app.consumer_generation_id
        for tp, records in in_turns(fetched or {}):
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
        """Without key and headers: Faust would obey what anyone may have written there."""
        events = tuple(_raw(tp, record) for record in records)
        last = events[-1]
        return ConsumerMessage(
            topic=tp.topic,
            partition=tp.partition,
            offset=last.offset,
            timestamp=last.timestamp,
            timestamp_type=0,
            headers=[],
            key=None,
            value=events,  # type: ignore[arg-type]  # only our stage unpacks it
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _seek(self, partition: TP, offset: int) -> None:
        """On the thread that fetches. Faust's own seeks on ours and forgets what was fetched of the partition, also
        while the other thread hands it out: a KeyError there, and the worker ends.
        """

        async def seek() -> None:
            self._thread.seek(partition, offset)

        await self._thread.call_thread(seek)


class BatchTransport(aiokafka.Transport):
    """Faust's aiokafka transport with that consumer."""

    Consumer = BatchConsumer


def travel_together(app: faust.App) -> None:
    """Let `app` consume in batches."""
    app.transport = BatchTransport(app.conf.broker_consumer, app)


def in_turns(fetched: Mapping[TP, Sequence[Any]]) -> Iterator[tuple[TP, Sequence[Any]]]:
    """Each partition's records in order, at most `RECORDS_AT_ONCE` of each in its turn."""
    longest = max(map(len, fetched.values()), default=0)
    for start in range(0, longest, RECORDS_AT_ONCE):
        for tp, records in fetched.items():
            if start < len(records):
                yield tp, records[start : start + RECORDS_AT_ONCE]


def _raw(tp: TP, record: Any) -> RawEvent:
    return RawEvent(tp, record.offset, (record.timestamp or 0) / 1000, record.key, record.value, tuple(record.headers))
