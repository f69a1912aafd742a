"""A process follows its orders, knows whether it has read them all, and ends if it cannot read them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer

from nightdesk.messaging.log_offsets import Bounds, Place
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.messaging.transactions import OpenTransaction
from nightdesk.operations.topics import apply_topics
from nightdesk.settings import Settings
from nightdesk.streams import control_subscriber
from nightdesk.streams.control import Control
from nightdesk.streams.control_subscriber import ControlSubscriber
from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.streams.stages.stage_harness import CODEC, order

ROOT = Path(__file__).parents[2]
PAUSE = CODEC.encode(order("pause", "desk", "desk"))

CANNOT_READ = """
import sys, time
from nightdesk.streams.control import Control
from nightdesk.streams.control_subscriber import ControlSubscriber
from nightdesk.schemas.codec import Codec, RegistryUnavailable

def away(schema_id):
    raise RegistryUnavailable("the registry is away")

ControlSubscriber({"bootstrap.servers": sys.argv[1]}, sys.argv[2], Codec({}, away), Control()).start()
print("went on", flush=True)
time.sleep(60)
"""

# Prints a line whenever what it knows changes.
TELLING = """
import sys, time
from nightdesk.streams.control import Control
from nightdesk.streams.confirmation import Confirmation
from nightdesk.streams.control_subscriber import ControlSubscriber
from tests.streams.stages.stage_harness import CODEC

control = Control(Confirmation(2.5))
ControlSubscriber({"bootstrap.servers": sys.argv[1]}, sys.argv[2], CODEC, control).start()
told = None
while True:
    now = ("fresh" if control.confirmation.is_fresh() else "old", "paused" if control.halted("desk") else "free")
    if now != told:
        print(*now, flush=True)
        told = now
    time.sleep(0.02)
"""


@pytest.fixture
def kafka(stack_settings: Settings) -> KafkaSettings:
    apply_topics(stack_settings.kafka)
    return stack_settings.kafka


@contextmanager
def told(kafka: KafkaSettings) -> Iterator[Iterator[str]]:
    """The log of a subscriber, line by line."""
    command = [sys.executable, "-c", TELLING, kafka.bootstrap_servers, kafka.topic_prefix]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield (line.strip() for line in process.stdout)
        finally:
            process.kill()


def test_a_process_that_cannot_hear_orders_ends(kafka: KafkaSettings) -> None:
    producer = Producer(kafka.client_config())
    producer.produce(f"{kafka.topic_prefix}control", PAUSE, "desk", partition=0)
    assert producer.flush(30) == 0
    ended = subprocess.run(
        [sys.executable, "-c", CANNOT_READ, kafka.bootstrap_servers, kafka.topic_prefix],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (ExitCode.UNAVAILABLE, "")
    assert "control can no longer be followed" in ended.stderr


def test_an_order_that_lies_behind_an_open_transaction_is_not_taken_for_none(kafka: KafkaSettings) -> None:
    """It is on the topic and cannot be read, so the last confirmation becomes old and no new one follows."""
    blocking = Producer({**kafka.client_config(), "transactional.id": f"{kafka.topic_prefix}open"})
    blocking.init_transactions(30)
    with told(kafka) as lines:
        assert "fresh free" in lines
        blocking.begin_transaction()
        blocking.produce(f"{kafka.topic_prefix}control", b"in doubt", "x", partition=0)
        assert blocking.flush(30) == 0
        ordinary = Producer(kafka.client_config())
        ordinary.produce(f"{kafka.topic_prefix}control", PAUSE, "desk", partition=0)
        assert ordinary.flush(30) == 0
        assert "old free" in lines
        blocking.abort_transaction(30)
        paused = (line for line in lines if line.endswith("paused"))
        assert next(paused) == "old paused", "first obeyed, then confirmed"
        assert "fresh paused" in paused, "markers of transactions at the end are no missing records"


def test_a_start_behind_an_open_transaction_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not that the topic is missing: to create it is no remedy."""
    since = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(control_subscriber, "START_TIMEOUT_S", 0.0)
    monkeypatch.setattr(control_subscriber, "ask_bounds", lambda _admin, _places: {("t.control", 0): Bounds(0, 3, 5)})

    def opened(_config: object, place: Place, found: Bounds) -> OpenTransaction:
        return OpenTransaction(place[0], place[1], found.stable, since)

    monkeypatch.setattr(control_subscriber, "open_transaction", opened)
    subscriber = ControlSubscriber({"bootstrap.servers": "127.0.0.1:1"}, "t.", CODEC, Control())
    monkeypatch.setattr(subscriber._topic_watch, "start", lambda: None)
    monkeypatch.setattr(subscriber, "_repeatedly", lambda _work: None)
    with pytest.raises(TimeoutError, match=r"a transaction on t\.control/0 is open since 2026-01-01"):
        subscriber.start()
