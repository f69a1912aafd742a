"""The sink says how many records have not landed, and how old the oldest of them is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, Message, TopicPartition

from nightdesk.sinks.audit.lag import Lag
from nightdesk.sinks.audit.metrics import Metrics

NOW = 1_000_000.0


@dataclass(frozen=True)
class Read:
    """What the lag needs of a message."""

    number: int
    place: int
    age_s: float

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.place

    def timestamp(self) -> tuple[int, int]:
        return 1, int((NOW - self.age_s) * 1000)


class Ends:
    """A consumer that knows where the logs end."""

    def __init__(self, **ends: int) -> None:
        self._ends = ends

    def get_watermark_offsets(self, place: TopicPartition, **_: Any) -> tuple[int, int]:
        return 0, self._ends[f"p{place.partition}"]


def _lag(metrics: Metrics, **ends: int) -> Lag:
    return Lag(cast(Consumer, Ends(**ends)), "audit", metrics)


def _said(metrics: Metrics) -> tuple[float | None, float | None]:
    names = ("nightdesk_sink_lag_records", "nightdesk_sink_oldest_record_seconds")
    records, age = (metrics.registry.get_sample_value(name) for name in names)
    return records, age


def _read(*read: Read) -> list[Message]:
    return cast(list[Message], list(read))


def test_what_was_read_and_has_not_landed_gets_older(monkeypatch: pytest.MonkeyPatch) -> None:
    now = NOW
    monkeypatch.setattr("nightdesk.sinks.audit.metrics.time.time", lambda: now)
    metrics = Metrics()
    lag = _lag(metrics, p0=12, p1=5)
    assert _said(metrics) == (0.0, 0.0)
    lag.gathered(_read(Read(0, 7, 30.0), Read(0, 8, 20.0), Read(1, 4, 40.0)))
    assert _said(metrics) == (5 + 1, 40.0)
    lag.committed({1: 5})
    assert _said(metrics) == (5, 30.0)
    now += 60
    lag.gathered(_read(Read(0, 7, 30.0)))  # it could not be written, and comes again
    assert _said(metrics) == (5, 90.0)
    lag.committed({0: 12})
    assert _said(metrics) == (0.0, 0.0)
    lag.gathered(_read(Read(1, 5, -500.0)))  # a clock that is ahead
    assert _said(metrics)[1] == 0.0


def test_partitions_of_others_and_ends_that_nobody_knows_count_nothing() -> None:
    metrics = Metrics()
    lag = _lag(metrics, p0=-1001)
    lag.gathered(_read(Read(0, 7, 1.0)))
    assert _said(metrics)[0] == 0.0
    lag.assigned()
    assert _said(metrics) == (0.0, 0.0)
