"""A command asks the schema registry for the records that it reads and writes, and for no others: each is a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient

from nightdesk.messaging.blocking_producer import produce
from nightdesk.messaging.registered_codec import registered_codec
from nightdesk.operations import status
from nightdesk.operations.agents import read_agents
from nightdesk.operations.approvals import ApprovalAnswer, answer
from nightdesk.operations.dead_letters.choosing import Choice
from nightdesk.operations.dead_letters.handling import DeadLetterQueue
from nightdesk.operations.doctor import check_registry
from nightdesk.operations.orders import EVERY_AGENT, By, switch
from nightdesk.operations.persons import Person
from nightdesk.operations.stops import active_stops
from nightdesk.schemas.records import ControlCommand, WorkerReport
from nightdesk.schemas.registry import subjects
from nightdesk.schemas.topics import WORKERS
from nightdesk.settings import Settings
from nightdesk.sinks.approvals import Waiting
from tests.processors.examples import NOW
from tests.schemas.samples import SAMPLES

ALL = len(subjects(""))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The requests that clients make; none of them keeps what another one asked for."""
    made: list[str] = []
    for name in ("lookup_schema", "get_schema", "get_version"):
        real = getattr(SchemaRegistryClient, name)

        def counted(self: Any, *arguments: Any, real: Any = real, name: str = name, **others: Any) -> Any:
            made.append(name)
            return real(self, *arguments, **others)

        monkeypatch.setattr(SchemaRegistryClient, name, counted)
    return made


def _approve(settings: Settings) -> None:
    waits = Waiting("d-1", "t-1", "desk", "refund", {}, "", 0.9, "", NOW, NOW, "0" * 64)
    answer(settings, waits, ApprovalAnswer("approve"), Person("kim"))


def _stop(settings: Settings) -> None:
    switch(settings, "stop_all", EVERY_AGENT, By("", "kim"))


def _list_letters(settings: Settings) -> None:
    DeadLetterQueue(settings).select(Choice(), "open")


@pytest.mark.parametrize(
    ("operation", "requests"),
    [
        (read_agents, 1),
        (active_stops, 1),
        (_approve, 1),
        (_list_letters, 2),
        (_stop, 2),
        (check_registry, ALL),
    ],
)
def test_an_operation_asks_for_what_it_needs(
    operation: Callable[[Settings], Any], requests: int, small_settings: Settings, asked: list[str]
) -> None:
    operation(small_settings)
    assert len(asked) == requests


def test_a_status_asks_for_its_four_kinds_of_records(
    small_settings: Settings, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The orders, the workers' reports, and both records of the dead letters."""
    monkeypatch.setattr(status, "stage_status", lambda _: {})
    monkeypatch.setattr(status, "long_transactions", lambda _: ())
    report = next(one for one in SAMPLES if isinstance(one, WorkerReport))
    with registered_codec(small_settings, WorkerReport) as codec:
        produce(small_settings.kafka, WORKERS, [(report.key, codec.encode(report))])
    asked.clear()
    found = status.read_status(small_settings)
    assert [worker.name for worker in found.workers or ()] == [report.key]
    assert (found.letters, found.halts) == ((), [])
    assert len(asked) == 4


def test_a_record_that_was_not_named_is_read_by_the_schema_of_its_id(
    small_settings: Settings, asked: list[str]
) -> None:
    order = ControlCommand(key="desk", kind="pause", agent="desk", issued_by="kim", time=NOW)
    with registered_codec(small_settings, ControlCommand) as codec:
        payload = codec.encode(order)
    with registered_codec(small_settings, WorkerReport) as other:
        assert other.decode(ControlCommand, payload) == order
    assert asked == ["lookup_schema", "lookup_schema", "get_schema"]
