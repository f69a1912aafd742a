"""A record that nobody can read on a topic that is read whole keeps no worker from starting, and is no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from confluent_kafka import Producer

from nightdesk.messaging.failures import Failure
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations.stop_checks import CLOCKS_DIFFER_AT_MOST_MS, clocks_differ_by
from nightdesk.operations.stops import active_stops, obedience
from nightdesk.operations.tombstones import read_tombstones
from nightdesk.operations.workers import read_workers
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import ForgottenSubject
from nightdesk.schemas.topics import CONTROL, FORGOTTEN, WORKERS, Topic
from nightdesk.settings import Settings
from nightdesk.streams.identity import Identity
from nightdesk.streams.twins import end_if_alive
from tests.processors.examples import NOW
from tests.streams.stages.stage_harness import order

ME = Identity("act", "act-0")
UNREADABLE = [b"", b"\x00", b"\x00\x00\x00\x00\x01", b"\xff" * 100, b'{"key": "act/act-0"}']


@pytest.fixture
def codec(small_settings: Settings) -> Iterator[Codec]:
    with registered_codec(small_settings) as found:
        yield found


def _produce(settings: Settings, topic: Topic, *records: tuple[str, bytes | None]) -> None:
    producer = Producer(settings.kafka.client_config())
    for key, value in records:
        producer.produce(settings.kafka.topic_prefix + topic.name, value, key, partition=0)
    assert producer.flush(10) == 0


@pytest.mark.parametrize("value", UNREADABLE, ids=repr)
def test_a_report_that_nobody_can_read(small_settings: Settings, codec: Codec, value: bytes) -> None:
    _produce(small_settings, WORKERS, (ME.key, value), ("x\x1b[2J", value))
    kafka = small_settings.kafka
    end_if_alive(ME, kafka.client_config(), kafka.topic_prefix, codec)
    with pytest.raises(Failure, match=r"the report of .* on workers cannot be read") as caught:
        read_workers(small_settings)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize("value", [*UNREADABLE, None], ids=repr)
def test_what_is_no_tombstone_is_passed_over(small_settings: Settings, codec: Codec, value: bytes | None) -> None:
    tombstone = ForgottenSubject(digest="d", key_check="k", time=NOW, issued_by="ada")
    _produce(small_settings, FORGOTTEN, ("other", value), ("d", codec.encode(tombstone)))
    assert read_tombstones(small_settings, codec) == [tombstone]


def test_numbers_that_no_worker_reports_are_bounded(small_settings: Settings, codec: Codec) -> None:
    stop = order("stop_all", "*", "*")
    report = ME.report("stopped", NOW)
    numbers = {"orders_confirmed_within_ms": 2**63 - 1, "clock_offset_ms": -(2**63), "pid": 2**63 - 1}
    _produce(small_settings, CONTROL, (stop.key, codec.encode(stop)))
    _produce(small_settings, WORKERS, (ME.key, codec.encode(report.model_copy(update=numbers))))
    [worker] = read_workers(small_settings)
    found = obedience(active_stops(small_settings)["*"], [worker], {}, timedelta(seconds=5))
    assert found.no_call_after == found.stop.at + timedelta(days=1)
    assert clocks_differ_by(found.workers) == timedelta(milliseconds=CLOCKS_DIFFER_AT_MOST_MS)
    end_if_alive(ME, small_settings.kafka.client_config(), small_settings.kafka.topic_prefix, codec)
