"""A record that somebody put beside its partition is a dead letter, and is done where it belongs only."""

from typing import Any

from faust.types import TP

from schemas.records import Decision, Event
from schemas.topics import ACT, INGEST
from streams.runtime.changes import Changes
from streams.runtime.delivery import Delivery
from streams.runtime.guard import Guard, Route
from streams.runtime.policy import WorkerPolicy
from tests.schemas.samples import SAMPLES
from tests.streams.runtime.arrivals import arrival, handled
from tests.streams.storm.conversation import local_codec

CODEC = local_codec()
PARTITIONS = 4
[DECISION] = [sample for sample in SAMPLES if isinstance(sample, Decision)]
[EVENT] = [sample for sample in SAMPLES if isinstance(sample, Event)]


def _handed_over(topic: Any, record: Any) -> tuple[list[int], int]:
    """The partitions in which a copy of the record was handed to its stage, and how many copies were buried."""
    taken: list[int] = []

    def take(delivery: Delivery[Any], changes: Changes) -> None:
        taken.append(delivery.partition)

    guard = Guard("x", (Route(topic, take),), CODEC, WorkerPolicy({}, "t.", PARTITIONS, "w0"))
    came = [arrival(TP(f"t.{topic.name}", number), 1, b"any", CODEC.encode(record), ()) for number in range(PARTITIONS)]
    buried = sum(message.topic == f"t.{topic.dlq}" for event in came for message in handled(guard, event).messages)
    return taken, buried


def test_a_record_of_ours_is_taken_in_one_partition_alone() -> None:
    # As librdkafka's murmur2 and the Java clients have it: murmur2("ticket/12345") & 0x7fffffff, modulo 4.
    assert _handed_over(ACT, DECISION) == ([1], 3)


def test_producers_of_events_may_spread_them_as_they_like() -> None:
    assert _handed_over(INGEST, EVENT) == ([0, 1, 2, 3], 0)
