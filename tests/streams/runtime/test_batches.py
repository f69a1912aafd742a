"""The consumer that delivers many records at a time: who may touch fetched records, and their order."""

import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.structs import ConsumerRecord
from faust.types import TP
from mode.threads import QueueServiceThread

from nightdesk.streams.runtime import faust_app
from nightdesk.streams.runtime.consuming.batches import BatchConsumer
from nightdesk.streams.runtime.consuming.fetch_thread import FETCH_WAIT_MS, QUIET_FETCH_WAIT_MS, FetchThread
from nightdesk.streams.runtime.handling.delivery import RawEvent
from nightdesk.streams.runtime.membership.lease import Lease
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.state.committer import BUSY_RECORDS

FIRST, SECOND = TP("ingest", 0), TP("ingest", 1)


class Fetching(QueueServiceThread):
    """The thread of a consumer: records on which thread it was asked to seek."""

    abstract = False

    def __post_init__(self) -> None:
        self.sought: list[tuple[TP, int, bool]] = []

    def seek(self, partition: TP, offset: int) -> None:
        self.sought.append((partition, offset, threading.current_thread() is threading.main_thread()))


async def test_a_seek_is_made_by_the_thread_that_fetches() -> None:
    thread = Fetching()
    consumer = BatchConsumer.__new__(BatchConsumer)
    consumer._thread = thread  # type: ignore[assignment]  # of it only the queue of calls is asked
    await thread.start()
    try:
        await consumer._seek(FIRST, 5)
    finally:
        await thread.stop()
    assert thread.sought == [(FIRST, 5, False)]


async def test_the_end_of_a_partition_that_a_rebalance_took_away_is_not_known() -> None:
    """Gauges are set from it in every second, also in a rebalance."""
    consumer = AIOKafkaConsumer()
    thread = FetchThread.__new__(FetchThread)
    thread._consumer = consumer
    ends = [thread.highwater(FIRST)]
    consumer._subscription.subscribe(topics={"ingest"})
    ends.append(thread.highwater(FIRST))
    consumer._subscription.assign_from_subscribed([FIRST])
    consumer._subscription.subscription.assignment.state_value(FIRST).highwater = 7
    ends += [thread.highwater(FIRST), thread.highwater(SECOND)]
    await consumer.stop()
    assert ends == [None, None, 7, None]


async def test_a_request_waits_and_reads_as_we_say() -> None:
    """The attributes that are set are aiokafka's own: this test fails if they are renamed."""
    app = faust_app.build(
        "patience", WorkerPolicy({"bootstrap.servers": "127.0.0.1:1"}, "t.", 1, "w0"), Lease(30.0, 60.0)
    )
    thread = app.consumer._thread  # type: ignore[attr-defined]  # Faust has no public way to its consumer
    as_it_comes, ours = AIOKafkaConsumer(), thread._create_worker_consumer(app.transport)
    waits_ms = [vars(consumer)["_fetch_max_wait_ms"] for consumer in (as_it_comes, ours)]
    isolation = [vars(consumer)["_isolation_level"] for consumer in (as_it_comes, ours)]
    thread.thread_loop.close()
    await as_it_comes.stop()
    await ours.stop()
    assert waits_ms[0] > waits_ms[1] == FETCH_WAIT_MS
    assert isolation == ["read_uncommitted", "read_committed"]


@pytest.mark.parametrize(
    ("records", "wait_ms"),
    [(0, QUIET_FETCH_WAIT_MS), (BUSY_RECORDS - 1, QUIET_FETCH_WAIT_MS), (BUSY_RECORDS, FETCH_WAIT_MS)],
)
def test_only_a_busy_stage_asks_often(records: int, wait_ms: int) -> None:
    """The attributes that are set are aiokafka's own: this test fails if they are renamed."""
    assert "_fetcher" in vars(AIOKafkaConsumer)["__init__"].__code__.co_names
    assert "_fetch_max_wait_ms" in vars(Fetcher)["__init__"].__code__.co_names
    thread = FetchThread.__new__(FetchThread)
    thread._consumer = SimpleNamespace(_fetcher=SimpleNamespace(_fetch_max_wait_ms=None))
    thread.has_fetched(records)
    assert thread._consumer._fetcher._fetch_max_wait_ms == wait_ms


@pytest.mark.parametrize("timestamp", [1_795_000_000_500, None])
def test_records_travel_whole_and_without_anything_that_faust_obeys(timestamp: int | None) -> None:
    """As aiokafka gives them: the headers are a tuple, and an old producer's record has no time."""
    headers = (("traceparent", b"00-1"), ("Faust-Ag-ReplyTo", b"somebody"))
    records: list[Any] = [
        ConsumerRecord("ingest", 0, at, timestamp, 0, b"key", b"value", None, 3, 5, headers) for at in (7, 8)
    ]
    consumer = SimpleNamespace(app=SimpleNamespace(consumer_generation_id=3))
    message = BatchConsumer._together(consumer, FIRST, records)  # type: ignore[arg-type]  # what it needs of one
    assert (message.offset, message.key, message.headers, message.generation_id) == (8, None, [], 3)
    at_s = 0.0 if timestamp is None else 1_795_000_000.5
    assert list(message.value or ()) == list[Any](RawEvent(FIRST, at, at_s, b"key", b"value", headers) for at in (7, 8))


@pytest.mark.parametrize("is_broker_time", [True, False])
def test_a_record_says_when_the_broker_stored_it_and_not_what_its_producer_says(*, is_broker_time: bool) -> None:
    record: Any = ConsumerRecord("t", 0, 7, 1_795_000_000_000, int(is_broker_time), b"k", b"v", None, 1, 1, ())
    consumer = SimpleNamespace(app=SimpleNamespace(consumer_generation_id=3))
    message = BatchConsumer._together(consumer, FIRST, [record])  # type: ignore[arg-type]  # what it needs of one
    events: list[Any] = list(message.value or ())
    assert events[0].stored_at == (datetime.fromtimestamp(1_795_000_000, UTC) if is_broker_time else None)
