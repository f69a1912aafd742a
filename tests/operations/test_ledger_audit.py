"""Of a log whose beginning was deleted, only what certainly is in all three books is compared."""

from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import Message

from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations import ledger_audit
from nightdesk.processors.reconciliation import Drift
from nightdesk.schemas.records import BudgetEntry
from nightdesk.settings import Settings
from nightdesk.sinks.costs import CaseCost
from tests.schemas.samples import SAMPLES

BEGINS = datetime(2026, 11, 20, 8, tzinfo=UTC)
SINCE = BEGINS + timedelta(hours=1)
TICK = timedelta(microseconds=1)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """From when on the audit was asked, which has one case."""
    asked: list[datetime] = []

    def costs(_client: object, since: datetime) -> list[CaseCost]:
        asked.append(since)
        return [CaseCost("audited", "desk", 7, 3, SINCE)]

    monkeypatch.setattr(ledger_audit, "clickhouse", lambda _settings: nullcontext())
    monkeypatch.setattr(ledger_audit, "case_costs", costs)
    monkeypatch.setattr(ledger_audit, "read_facts", lambda _settings: ())
    return asked


def _entry(case_id: str, at: datetime) -> BudgetEntry:
    [sample] = [sample for sample in SAMPLES if type(sample) is BudgetEntry]
    return sample.model_copy(update={"case_id": case_id, "kind": "settle", "step": 0, "time": at})


def _log(settings: Settings, monkeypatch: pytest.MonkeyPatch, first_offset: int, *entries: BudgetEntry) -> None:
    """The topic from `first_offset` on: Kafka gives each record the time of its arrival."""
    with registered_codec(settings) as codec:
        values = [codec.encode(entry) for entry in entries]

    def read(*_: Any) -> Iterator[Message]:
        for number, value in enumerate(values):
            came_ms = int(BEGINS.timestamp() * 1000) + number
            yield Message("budget", 2, first_offset + number, None, value, timestamp=(1, came_ms))

    monkeypatch.setattr(ledger_audit, "read_topic", read)


def test_a_log_without_its_beginning_is_compared_from_an_hour_later(
    small_settings: Settings, asked: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    _log(small_settings, monkeypatch, 1, _entry("before", SINCE - TICK), _entry("just", SINCE))
    found = ledger_audit.read_ledger_audit(small_settings)
    assert (found.since, asked, list(found.log)) == (BEGINS, [SINCE], ["just"])
    assert found.audit["audited"].microusd == 7


def test_a_whole_log_is_compared_whole(
    small_settings: Settings, asked: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    _log(small_settings, monkeypatch, 0, _entry("before", BEGINS - timedelta(days=300)), _entry("just", SINCE))
    found = ledger_audit.read_ledger_audit(small_settings)
    assert (found.since, list(found.log)) == (None, ["before", "just"])
    assert asked[0] < BEGINS - timedelta(days=3000)


@pytest.mark.parametrize(
    ("wait_s", "reads", "left"),
    [(0.0, [{"a", "b"}], ["a", "b"]), (9.0, [{"a", "b"}, {"b", "c"}, set()], []), (0.5, [{"a", "b"}, {"b"}], ["b"])],
)
def test_only_what_differs_in_every_reading_is_drift(
    monkeypatch: pytest.MonkeyPatch, wait_s: float, reads: list[set[str]], left: list[str]
) -> None:
    """Time passes in the pauses alone: half a second in each."""
    now, readings = [1000.0], iter(reads)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def read(_settings: object) -> SimpleNamespace:
        found = {Drift("desk", case_id, 7, 7, 8) for case_id in next(readings)}
        return SimpleNamespace(drifts=lambda: found)

    monkeypatch.setattr(ledger_audit, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(ledger_audit, "read_ledger_audit", read)
    _, drifts = ledger_audit.verify_ledger(cast("Any", None), wait_s)
    assert [drift.case_id for drift in drifts] == left
    assert list(readings) == []
