"""The consumer that hands on many records at a time: who may touch what was fetched, and in which order it comes."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.structs import ConsumerRecord
from faust.types import TP
from mode.threads import QueueServiceThread

from streams.runtime import faust_app
from streams.runtime.batches import (
    FETCH_WAIT_MS,
    QUIET_FETCH_WAIT_MS,
    RECORDS_AT_ONCE,
    BatchConsumer,
    FetchThread,
    in_turns,
)
from streams.runtime.committer import BUSY_RECORDS
from streams.runtime.delivery import RawEvent
from streams.runtime.policy import WorkerPolicy

FIRST, SECOND = TP("ingest", 0), TP("ingest", 1)


class Fetching(QueueServiceThread):
    """The thread of a consumer: says on which thread it was asked to seek."""

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


def test_partitions_take_turns_and_keep_their_order() -> None:
    long, short = list(range(2 * RECORDS_AT_ONCE + 1)), [0, 1]
    turns = [(tp, list(records)) for tp, records in in_turns({FIRST: long, SECOND: short})]
    assert [tp for tp, _ in turns] == [FIRST, SECOND, FIRST, FIRST]
    assert [record for tp, records in turns if tp == FIRST for record in records] == long


async def test_a_request_does_not_wait_at_the_broker_for_longer_than_we_say() -> None:
    """The name that is set is aiokafka's own: should it get another, this fails."""
    app = faust_app.build("patience", WorkerPolicy({"bootstrap.servers": "127.0.0.1:1"}, "t.", 1, "w0"))
    thread = app.consumer._thread  # type: ignore[attr-defined]  # Faust has no public way to its consumer
    as_it_comes, ours = AIOKafkaConsumer(), thread._create_worker_consumer(app.transport)
    waits_ms = [vars(consumer)["_fetch_max_wait_ms"] for consumer in (as_it_comes, ours)]
    thread.thread_loop.close()
    await as_it_comes.stop()
    await ours.stop()
    assert waits_ms[0] > waits_ms[1] == FETCH_WAIT_MS


@pytest.mark.parametrize(
    ("records", "wait_ms"),
    [(0, QUIET_FETCH_WAIT_MS), (BUSY_RECORDS - 1, QUIET_FETCH_WAIT_MS), (BUSY_RECORDS, FETCH_WAIT_MS)],
)
def test_only_a_busy_stage_asks_often(records: int, wait_ms: int) -> None:
    """The names that are set are aiokafka's own: should they get others, this fails."""
    assert "_fetcher" in vars(AIOKafkaConsumer)["__init__"].__code__.co_names
    assert "_fetch_max_wait_ms" in vars(Fetcher)["__init__"].__code__.co_names
    thread = FetchThread.__new__(FetchThread)
    thread._consumer = SimpleNamespace(_fetcher=SimpleNamespace(_fetch_max_wait_ms=None))
    thread.has_fetched(records)
    assert thread._consumer._fetcher._fetch_max_wait_ms == wait_ms


@pytest.mark.parametrize("timestamp", [1_795_000_000_500, None])
def test_records_travel_whole_and_without_anything_that_faust_obeys(timestamp: int | None) -> None:
    """As aiokafka gives them: its headers are a tuple, and an old producer's record has no time."""
    headers = (("traceparent", b"00-1"), ("Faust-Ag-ReplyTo", b"somebody"))
    records: list[Any] = [
        ConsumerRecord("ingest", 0, at, timestamp, 0, b"key", b"value", None, 3, 5, headers) for at in (7, 8)
    ]
    consumer = SimpleNamespace(app=SimpleNamespace(consumer_generation_id=3))
    message = BatchConsumer._together(consumer, FIRST, records)  # type: ignore[arg-type]  # what it needs of one
    assert (message.offset, message.key, message.headers, message.generation_id) == (8, None, [], 3)
    at_s = 0.0 if timestamp is None else 1_795_000_000.5
    assert list(message.value or ()) == list[Any](RawEvent(FIRST, at, at_s, b"key", b"value", headers) for at in (7, 8))
