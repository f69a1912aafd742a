"""What the comparison with the broker's logs shows beside the records that a stage reads."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaException

from nightdesk.messaging.log_offsets import Bounds, Place
from nightdesk.messaging.transactions import OpenTransaction
from nightdesk.streams.metrics import OPEN_TRANSACTION
from nightdesk.streams.runtime.consuming import log_watch, transaction_watch
from nightdesk.streams.runtime.consuming.log_watch import LogWatch
from nightdesk.streams.runtime.policy import WorkerPolicy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
INGEST, CONTROL = ("t.ingest", 0), ("t.control", 0)


class LookedOnce(Exception):
    """The first look is over."""


async def _look_once(monkeypatch: pytest.MonkeyPatch, open_at: dict[Place, int]) -> None:
    """One look at logs of ten records, in which these transactions are open since a quarter of an hour."""

    def bounds(_admin: object, places: Iterable[Place]) -> dict[Place, Bounds]:
        if missing := set(places) - open_at.keys():
            raise KafkaException(f"there is no {missing}")
        return {place: Bounds(0, open_at[place], 10) for place in places}

    pauses = iter([None])

    async def sleep(_seconds: float) -> None:
        if next(pauses, LookedOnce) is LookedOnce:
            raise LookedOnce

    monkeypatch.setattr(log_watch, "ask_bounds", bounds)
    monkeypatch.setattr(log_watch, "new_admin", lambda _config: None)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    since = NOW - timedelta(minutes=15)

    def opened(_config: object, place: Place, found: Bounds) -> OpenTransaction:
        return OpenTransaction(place[0], place[1], found.stable, since)

    monkeypatch.setattr(transaction_watch, "open_transaction", opened)
    reader: Any = SimpleNamespace(expected=lambda: {INGEST: 10})
    with pytest.raises(LookedOnce):
        await LogWatch("act", reader, WorkerPolicy({}, "t.", 1, "w0", clock=lambda: NOW)).run()


def _open_s(place: Place) -> float:
    return float(OPEN_TRANSACTION.labels(stage="act", topic=place[0], partition=place[1])._value.get())


async def test_a_transaction_that_holds_back_the_orders_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No stage reads `control` as its input, and behind an open transaction there no worker makes a call."""
    await _look_once(monkeypatch, {INGEST: 10, CONTROL: 1})
    assert (_open_s(INGEST), _open_s(CONTROL)) == (0, 900)
    assert "a transaction on t.control/0 is open since 2025-12-31 23:45:00" in caplog.text


async def test_a_broker_that_does_not_tell_the_end_of_control_hides_nothing_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await _look_once(monkeypatch, {INGEST: 1})
    assert _open_s(INGEST) == 900
    assert "a transaction on t.ingest/0 is open" in caplog.text
