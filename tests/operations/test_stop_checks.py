"""Who has not confirmed an order to stop, and how long the audit of what followed is waited for."""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace
from typing import Literal

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.messaging.naming import group_id
from nightdesk.messaging.transactions import OpenTransaction
from nightdesk.operations import orders, stop_checks
from nightdesk.operations.stage_members import StageMembers
from nightdesk.operations.stops import ActiveStop, Obedience, WorkerStop, obedience
from nightdesk.operations.workers import Worker
from nightdesk.schemas.records import CallFate, ObeyedOrder
from nightdesk.schemas.topics import AUDIT
from nightdesk.settings import Settings
from nightdesk.streams.identity import Identity
from tests.processors.examples import NOW
from tests.streams.stages.stage_harness import order

TIMEOUT_S = 10.0
STATES: tuple[Literal["ready", "stopped"], ...] = ("ready", "stopped")


class Clock:
    """Time that passes only in sleep; `then` happens in each."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.now = 1000.0
        self.slept = 0
        self._then = then

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += 1
        self._then()


@pytest.fixture
def audit(small_settings: Settings) -> str:
    """The audit's topic, with three records."""
    name = small_settings.kafka.topic_prefix + AUDIT.name
    producer = Producer(small_settings.kafka.client_config())
    for number in range(3):
        producer.produce(name, str(number), partition=1)
    assert producer.flush(30) == 0
    return name


def _commit(settings: Settings, audit: str, offset: int) -> None:
    kafka = settings.kafka
    consumer = Consumer({**kafka.client_config(), "group.id": group_id(kafka.topic_prefix, "sink")})
    consumer.commit(offsets=[TopicPartition(audit, 1, offset)], asynchronous=False)
    consumer.close()


def test_it_waits_until_the_sink_has_all(small_settings: Settings, audit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = iter((2, 3))
    clock = Clock(lambda: _commit(small_settings, audit, next(done)))
    monkeypatch.setattr(stop_checks, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep))
    stop_checks._wait_for_audit(small_settings, TIMEOUT_S)
    assert clock.slept == 2


def test_an_audit_that_stays_behind_is_not_complete(
    small_settings: Settings, audit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _commit(small_settings, audit, 1)
    clock = Clock(lambda: None)
    monkeypatch.setattr(stop_checks, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep))
    monkeypatch.setattr(stop_checks, "LOOK_AGAIN_AFTER_S", TIMEOUT_S)
    with pytest.raises(Failure, match="2 records behind") as failed:
        stop_checks._wait_for_audit(small_settings, TIMEOUT_S)
    assert failed.value.kind is FailureKind.NOT_READY
    assert clock.slept == 2, "it asks once more when the time is just over"


@pytest.mark.parametrize(("reads_at", "asked"), [(2, 2), (None, 4)])
def test_the_workers_are_asked_until_all_obey_or_the_time_is_over(
    small_settings: Settings, monkeypatch: pytest.MonkeyPatch, reads_at: int | None, asked: int
) -> None:
    """The time is asked after the workers: who obeys in the last moment has obeyed."""
    clock, asks = Clock(lambda: None), iter(range(1, 9))
    stop = ActiveStop(order("stop_all", "*", "*"), offset=8, at=NOW)
    running, stopped = (Worker(Identity("act", "0").report(state, NOW), NOW, is_silent=False) for state in STATES)
    monkeypatch.setattr(stop_checks, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep))
    monkeypatch.setattr(stop_checks, "LOOK_AGAIN_AFTER_S", TIMEOUT_S / 2)
    monkeypatch.setattr(stop_checks, "read_workers", lambda _: [stopped if next(asks) == reads_at else running])
    found = stop_checks._wait_until_obeyed(small_settings, stop, 5.0, TIMEOUT_S)
    assert found.is_complete == (reads_at is not None)
    assert next(asks) == asked + 1


def test_who_has_not_confirmed_is_told_with_what_is_known_of_it() -> None:
    report = Identity("act", "0").report("ready", NOW)
    workers = [Worker(report, NOW - timedelta(seconds=9), is_silent=True), Worker(report, NOW, is_silent=False)]
    stop = ActiveStop(order("stop_all", "*", "*"), offset=8, at=NOW)
    members = {"act": StageMembers("act", is_stable=False, names=frozenset())}
    found = obedience(stop, workers, members, timedelta(seconds=5))
    silent, reads_on = map(stop_checks.unconfirmed_text, found.unconfirmed)
    since = f"{NOW - timedelta(seconds=9):%Y-%m-%d %H:%M:%S} UTC"
    assert silent == (
        f"act/0 (silent since {since}: its session has ended, and its partitions do not all belong to ready workers of"
        " act under the order)"
    )
    assert reads_on == "act/0 (reports, and has not read the order)"


@pytest.mark.parametrize(
    ("hidden", "kind", "said"),
    [
        ([OpenTransaction("t.control", 0, 7, NOW)], FailureKind.NOT_READY, "orders cannot be read: a transaction on"),
        ([], FailureKind.NOT_FOUND, "no order to stop is in force"),
    ],
)
def test_an_order_behind_an_open_transaction_is_not_said_to_be_missing(
    hidden: list[OpenTransaction], kind: FailureKind, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_checks, "active_stops", lambda _installation: {})
    monkeypatch.setattr(stop_checks, "open_transactions", lambda _kafka, topics: hidden if "control" in topics else [])
    with pytest.raises(Failure, match=said) as failed:
        stop_checks.wait_for_stop(Settings(), "*", 5.0, TIMEOUT_S)
    assert failed.value.kind is kind


@pytest.mark.parametrize(
    ("fates", "kind"), [((), None), (("done", "unknown"), None), (("open", "done"), FailureKind.NOT_READY)]
)
def test_an_order_is_obeyed_when_what_was_running_has_ended(
    fates: tuple[Literal["open", "done", "unknown"], ...], kind: FailureKind | None
) -> None:
    stop = ActiveStop(order("stop_all", "*", "*"), offset=8, at=NOW)
    calls = tuple(CallFate(call_id=f"c-{number}", agent="desk", fate=fate) for number, fate in enumerate(fates))
    obeyed = ObeyedOrder(agent="*", kind="stop_all", offset=8, obeyed_at=NOW, calls=calls)
    one = WorkerStop(Worker(Identity("act", "0").report("ready", NOW), NOW, is_silent=False), "obeyed", obeyed)
    check = stop_checks.StopCheck(Obedience(stop, (one, one), NOW), (), late=())
    if kind is None:
        check.check()
    else:
        with pytest.raises(Failure, match="2 running calls have not finished") as failed:
            check.check()
        assert failed.value.kind is kind


@pytest.mark.parametrize(
    ("known", "remedy"), [({"desk", "b"}, "Known are b, desk"), (frozenset[str](), "Apply a charter")]
)
def test_an_order_for_nobody_names_those_who_are_known(known: frozenset[str], remedy: str) -> None:
    orders._check_known("desk", known | {"desk"})
    with pytest.raises(Failure, match="no agent dsek") as failed:
        orders._check_known("dsek", known)
    assert remedy in str(failed.value)
    assert failed.value.kind is FailureKind.NOT_FOUND
