"""A report says which orders a worker obeys, from which place nothing acted, and the fate of the calls that were in
flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError

from nightdesk.schemas.records import AuditRecord, WorkerReport
from nightdesk.schemas.topics import ACT, AUDIT, WORKERS
from nightdesk.streams import worker_reports
from nightdesk.streams.confirmation import Confirmation
from nightdesk.streams.control import Control
from nightdesk.streams.identity import Identity
from nightdesk.streams.runtime.policy import WorkerPolicy
from nightdesk.streams.runtime.process.confirmed_clock import AGREES_WITHIN_S
from nightdesk.streams.stages.act import Act
from nightdesk.streams.worker_reports import WorkerReports
from tests.processors.examples import case, compiled
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, in_force, order
from tests.streams.stages.world import World, decision

ME = Identity("act", "act-0", host="here", pid=7, pid_space="this", token="mine")
CHARTER = compiled(("approval: always", "approval: never"))
REFUND = decision(case(CHARTER), "refund", amount=50.0)
BOUND_S = 5.0


@dataclass
class Broker:
    """A producer whose deliveries have timestamps of a clock that is `ahead_ms` of ours."""

    ahead_ms: float = 0.0
    latency_s: float = 0.02
    clock: Clock = field(default_factory=Clock)
    reports: list[WorkerReport] = field(default_factory=list)
    undelivered: list[Callable[[], None]] = field(default_factory=list)
    audit: list[AuditRecord] = field(default_factory=list)

    def produce(
        self, topic: str, value: bytes, key: str | bytes, partition: int, on_delivery: Callable[..., None]
    ) -> None:
        if topic == "t." + AUDIT.name:
            self.audit.append(CODEC.decode(AuditRecord, value))
            error = KafkaError(KafkaError._MSG_TIMED_OUT) if len(self.audit) == 1 else None
            self.undelivered.append(lambda: on_delivery(error, None))
            return
        assert (topic, partition) == ("t." + WORKERS.name, WORKERS.partition)
        self.reports.append(CODEC.decode(WorkerReport, value))
        assert key == self.reports[-1].key
        stamp_ms = self.clock.now.timestamp() * 1000 + self.ahead_ms + self.latency_s * 500
        self.undelivered.append(lambda: on_delivery(None, _Delivery(round(stamp_ms), self.latency_s)))

    def poll(self, _timeout: float) -> int:
        for deliver in self.undelivered:
            deliver()
        self.undelivered.clear()
        return 0

    def flush(self, _timeout: float) -> int:
        return self.poll(0)


@dataclass
class _Delivery:
    stamp_ms: int
    latency_s: float

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, self.stamp_ms

    def latency(self) -> float:
        return self.latency_s


class Reading:
    """A stage that is ready and reads."""

    def __init__(self) -> None:
        self.ready = True
        self.is_paused = False
        self.records_left = 0
        self.read: dict[tuple[str, int], int] = {("t.act", 0): 40}

    def positions(self) -> Mapping[tuple[str, int], int]:
        return dict(self.read)


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Broker:
    made = Broker()
    monkeypatch.setattr(worker_reports, "reports_producer", lambda _config: made)
    monkeypatch.setattr(worker_reports, "EVERY_S", 0.001)
    return made


def _reports(control: Control, clock: Clock) -> WorkerReports:
    policy = WorkerPolicy({}, "t.", partitions=4, instance_id="act-0", clock=clock)
    return WorkerReports(ME, control, CODEC, policy)


async def _next(broker: Broker) -> WorkerReport:
    """A report that was begun after now."""
    seen = len(broker.reports)
    while len(broker.reports) < seen + 2:  # noqa: ASYNC110 - the stage does not tell, and must not have to
        await asyncio.sleep(0.001)
    return broker.reports[-1]


async def test_who_it_is_and_how_fresh_its_orders_are(broker: Broker) -> None:
    age, clock = Confirmation(BOUND_S, lambda: 100.0), Clock()
    control = in_force(CHARTER, confirmation=age)
    reading = Reading()
    running = asyncio.create_task(_reports(control, clock).run(reading))
    first = await _next(broker)
    assert (first.key, first.token, first.state, first.orders) == ("act/act-0", "mine", "ready", ())
    assert (first.orders_confirmed_at, first.orders_confirmed_within_ms) == (None, 0), "nothing is confirmed yet"
    age.confirm(98.0)
    reading.ready = False
    reading.records_left = 12
    following = await _next(broker)
    assert (following.state, following.recovery_remaining) == ("not_ready", 12)
    assert following.orders_confirmed_at == clock.now - timedelta(seconds=2)
    assert following.orders_confirmed_within_ms == BOUND_S * 1000
    running.cancel()


async def test_from_where_nothing_acted_is_where_reading_stood_when_the_order_was_read(broker: Broker) -> None:
    control, reading = in_force(CHARTER), Reading()
    running = asyncio.create_task(_reports(control, Clock()).run(reading))
    await _next(broker)
    control.apply(order("pause", "desk", "desk"), 11)
    [obeyed] = (await _next(broker)).orders
    assert (obeyed.agent, obeyed.kind, obeyed.offset) == ("desk", "pause", 11)
    reading.read = {("t.act", 0): 55, ("t.act", 2): 7}
    [obeyed] = (await _next(broker)).orders
    places = [(place.topic, place.partition, place.offset) for place in obeyed.positions]
    assert places == [("act", 0, 40), ("act", 2, 7)], "reading on changes nothing; a partition that came later is added"
    control.apply(order("resume", "desk", "desk"), 12)
    assert (await _next(broker)).orders == ()
    running.cancel()


@pytest.mark.parametrize(("ends", "fate"), [(True, "done"), (False, "unknown")])
async def test_what_became_of_a_call_that_was_under_way(broker: Broker, ends: bool, fate: str) -> None:
    control, answer = in_force(CHARTER), asyncio.Event()

    class Slow(World):
        async def perform(self, *call: Any) -> Any:
            await answer.wait()
            return await super().perform(*call)

    running = asyncio.create_task(_reports(control, Clock()).run(Reading()))
    acting = asyncio.create_task(Bench(Act(control, Slow(), Clock())).take(ACT, REFUND))
    await _next(broker)
    control.apply(order("stop_all", "*", "*"), 3)
    [obeyed] = (await _next(broker)).orders
    [call] = obeyed.calls
    assert (call.agent, call.fate) == ("desk", "open")
    if ends:
        answer.set()
    else:
        acting.cancel()
    await asyncio.gather(acting, return_exceptions=True)
    [obeyed] = (await _next(broker)).orders
    assert [found.fate for found in obeyed.calls] == [fate]
    running.cancel()


async def test_a_call_that_only_waited_for_orders_was_cancelled_by_one(broker: Broker) -> None:
    age = Confirmation(BOUND_S, lambda: 100.0)
    control, world = in_force(CHARTER, confirmation=age), World()
    running = asyncio.create_task(_reports(control, Clock()).run(Reading()))
    acting = asyncio.create_task(Bench(Act(control, world, Clock())).take(ACT, REFUND))
    await _next(broker)
    control.apply(order("pause", "desk", "desk"), 3)
    await _next(broker)
    age.confirm(100.0)
    await acting
    [obeyed] = (await _next(broker)).orders
    assert ([found.fate for found in obeyed.calls], world.calls) == (["cancelled"], [])
    running.cancel()


async def test_another_agents_calls_are_not_under_this_order(broker: Broker) -> None:
    age = Confirmation(BOUND_S, lambda: 100.0)
    control = in_force(CHARTER, confirmation=age)
    running = asyncio.create_task(_reports(control, Clock()).run(Reading()))
    acting = asyncio.create_task(Bench(Act(control, World(), Clock())).take(ACT, REFUND))
    await _next(broker)
    control.apply(order("pause", "other", "other"), 3)
    [obeyed] = (await _next(broker)).orders
    assert obeyed.calls == ()
    acting.cancel()
    running.cancel()


async def test_of_many_orders_the_newest_are_told(broker: Broker) -> None:
    control = in_force(CHARTER)
    running = asyncio.create_task(_reports(control, Clock()).run(Reading()))
    await _next(broker)
    for number in range(worker_reports.ORDERS_TOLD + 5):
        control.apply(order("pause", f"a-{number}", f"a-{number}"), number)
    told = (await _next(broker)).orders
    assert [obeyed.offset for obeyed in told] == list(range(5, worker_reports.ORDERS_TOLD + 5))
    running.cancel()


@pytest.mark.parametrize(
    ("ahead_ms", "latency_s", "said"),
    [
        (0, 0.02, ""),
        (900, 0.02, ""),
        (-3_600_000, 0.02, "3600.0 s ahead of the broker's"),
        (5_000, 0.02, "5.0 s behind the broker's"),
        (1_500, 4.0, ""),  # the answer took so long that the clocks may agree
    ],
)
async def test_a_clock_that_is_off_is_said_once(
    broker: Broker, caplog: pytest.LogCaptureFixture, ahead_ms: float, latency_s: float, said: str
) -> None:
    broker.ahead_ms, broker.latency_s = ahead_ms, latency_s
    reports = _reports(in_force(CHARTER), Clock())
    running = asyncio.create_task(reports.run(Reading()))
    for _ in range(3):
        report = await _next(broker)
    assert report.clock_offset_ms == pytest.approx(ahead_ms, abs=1)
    assert reports._confirmed_clock.may_expire() == (abs(ahead_ms) < AGREES_WITHIN_S * 1000)
    assert caplog.text.count("this machine's clock is") == bool(said)
    assert said in caplog.text
    broker.ahead_ms = 0
    await _next(broker)
    await _next(broker)
    assert caplog.text.count("agrees with the broker's again") == bool(said)
    running.cancel()


async def test_a_delivery_is_heard_of_before_the_next_report(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its age counts until the delivery is known: one second would show every clock half a second off."""
    monkeypatch.setattr(worker_reports, "EVERY_S", 60.0)
    running = asyncio.create_task(_reports(in_force(CHARTER), Clock()).run(Reading()))
    await asyncio.sleep(10 * worker_reports.LISTEN_AFTER_S)
    assert len(broker.reports) == 1
    assert not broker.undelivered
    running.cancel()


async def test_a_promoted_charter_that_cannot_be_read_is_in_the_report_and_once_in_the_audit(broker: Broker) -> None:
    """The first delivery to the audit fails, and the record is sent again."""
    control = in_force(CHARTER)
    with pytest.raises(ValueError, match="mood"):
        control.apply(
            order("charter", "desk", "desk/newer", charter='{"mood": "good"}', charter_version="newer"), offset=7
        )
    running = asyncio.create_task(_reports(control, Clock()).run(Reading()))
    report = await _next(broker)
    assert [(told.version, told.promoted) for told in report.unreadable_charters] == [("newer", False)]
    assert report.program_version == version("nightdesk")
    assert broker.audit == [], "nothing depends on a version that is only known"
    control.apply(order("promote", "desk", "desk/promoted", charter_version="newer"))
    for _ in range(5):
        report = await _next(broker)
    [told] = report.unreadable_charters
    assert (told.promoted, told.instead) == (True, CHARTER.version)
    lost, record = broker.audit
    assert lost.record_id == record.record_id
    assert record.reason.startswith(f"act/act-0 cannot read charter newer, so version {CHARTER.version} stays in force")
    running.cancel()
