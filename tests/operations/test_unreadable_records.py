"""A record that nobody can read on a topic that is read whole keeps no worker from starting, and is no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from confluent_kafka import Producer

from nightdesk.messaging.failures import Failure
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations import charter_readers
from nightdesk.operations.stop_checks import CLOCKS_DIFFER_AT_MOST_MS, clocks_differ_by, unconfirmed_text
from nightdesk.operations.stops import active_stops, obedience
from nightdesk.operations.tombstones import read_tombstones
from nightdesk.operations.workers import read_workers
from nightdesk.schemas.codec import Codec
from nightdesk.schemas.records import ForgottenSubject, ObeyedOrder
from nightdesk.schemas.topics import CONTROL, FORGOTTEN, WORKERS, Topic
from nightdesk.settings import Settings
from nightdesk.streams.control import Control
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
def test_a_report_that_nobody_can_read_hides_no_other(small_settings: Settings, codec: Codec, value: bytes) -> None:
    other = Identity("act", "act-1").report("ready", NOW)
    _produce(small_settings, WORKERS, (ME.key, value), (other.key, codec.encode(other)), ("x\x1b[2J" * 200, value))
    kafka = small_settings.kafka
    end_if_alive(ME, kafka.client_config(), kafka.topic_prefix, codec)
    unreadable, readable, strange = read_workers(small_settings)
    assert (unreadable.name, readable.report, readable.unreadable) == (ME.key, other, "")
    assert unreadable.unreadable
    assert strange.unreadable


@pytest.mark.parametrize("value", UNREADABLE, ids=repr)
def test_a_worker_whose_report_cannot_be_read_has_confirmed_nothing(
    small_settings: Settings, codec: Codec, value: bytes
) -> None:
    """What its predecessor under the same key said of the order counts no more. What is no worker's holds up nobody."""
    stop = order("stop_all", "*", "*")
    _produce(small_settings, CONTROL, (stop.key, codec.encode(stop)))
    obeyed = ObeyedOrder(agent="*", kind="stop_all", offset=0, obeyed_at=NOW)
    follows = ME.report("ready", NOW).model_copy(update={"orders": (obeyed,)})
    standing = active_stops(small_settings)["*"]

    def unconfirmed() -> list[str]:
        found = obedience(standing, read_workers(small_settings), {}, timedelta(seconds=5))
        return [unconfirmed_text(each) for each in found.unconfirmed]

    _produce(small_settings, WORKERS, (ME.key, codec.encode(follows)), ("x", value))
    assert unconfirmed() == []
    _produce(small_settings, WORKERS, (ME.key, value))
    [told] = unconfirmed()
    assert told.startswith("act/act-0 (its report of ")
    assert "cannot be read" in told


def test_no_charter_is_promoted_past_a_worker_whose_report_cannot_be_read(
    small_settings: Settings, codec: Codec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charter_readers, "READ_WITHIN_S", 1.0)
    monkeypatch.setattr(charter_readers, "SILENT_AFTER", timedelta(seconds=60))
    _produce(small_settings, WORKERS, (ME.key, b"\x00"))
    control = Control()
    control.read_up_to = 1
    with pytest.raises(Failure, match="act/act-0 has not read the charters within 1 s: its report cannot be read"):
        charter_readers.oldest_reader(small_settings, {"desk": "v1"}, control)


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
