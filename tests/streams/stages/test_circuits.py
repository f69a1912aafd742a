"""Calls to a system that is away wait, and none is lost; one call finds out that it is back."""

import pytest

from nightdesk.processors.breaker import CallReport, Result
from nightdesk.processors.execution import BREAKER
from nightdesk.schemas.outage_detail import OutageDetail
from nightdesk.schemas.records import Decision, Timer
from nightdesk.schemas.topics import ACT, TIMERS
from nightdesk.streams.api import StagedWrites
from nightdesk.streams.stages.act import Act
from nightdesk.streams.stages.circuits import Circuits
from nightdesk.streams.stages.outages import LASTS_S
from tests.processors.examples import case, compiled, event
from tests.schemas.details import detail_as, outcomes_of
from tests.streams.runtime.memory import table
from tests.streams.stages.stage_harness import CODEC, Bench, Clock, audited, in_force, order, said
from tests.streams.stages.world import AWAY, BROKEN, BUSY, World, decision

CHARTER = compiled()
DAY_S = 86_400


def _answer(number: int) -> Decision:
    other = event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"})
    return decision(case(CHARTER, other), text="tomorrow")


def _bench(world: World, clock: Clock) -> Bench:
    return Bench(Act(in_force(CHARTER), world, clock))


class Desk:
    """Takes the part of the timers stage: what waits comes again when it is due."""

    def __init__(self, bench: Bench, clock: Clock) -> None:
        self._bench = bench
        self._clock = clock
        self._offset = 0
        self.waiting: list[Timer] = []
        self.ends: list[str] = []

    async def take(self, record: Decision) -> None:
        self._offset += 1
        writes = await self._bench.take(ACT, record, self._offset)
        self.waiting += said(writes, TIMERS, Timer)
        self.ends += [record.status for record in audited(writes) if record.kind == "acted"]

    async def until(self, seconds: float) -> None:
        """Everything that is due within so many seconds, in order."""
        end = self._clock.now.timestamp() + seconds
        while self.waiting and (first := min(self.waiting, key=lambda each: each.due_at)).due_at.timestamp() <= end:
            self.waiting.remove(first)
            self._clock.now = max(self._clock.now, first.due_at)
            await self.take(CODEC.decode(Decision, first.value))


async def test_actions_wait_for_a_system_that_is_away_and_go_on_when_it_is_back() -> None:
    clock = Clock()
    world = World(retries=2, send=[AWAY] * 1000)
    desk = Desk(_bench(world, clock), clock)
    for number in range(10):
        await desk.take(_answer(number))
    assert world.handlers == ["send"] * BREAKER.failures_to_open, "the others did not even ask"
    assert len(desk.waiting) == 10
    await desk.until(DAY_S / 24)
    assert desk.ends == [], "far more tries than the charter's, and none has failed"
    world.answers["send"].clear()
    await desk.until(DAY_S / 24)
    assert desk.ends == ["completed"] * 10
    assert desk.waiting == []


async def test_one_action_finds_out_whether_the_system_is_back() -> None:
    clock = Clock()
    world = World(send=[AWAY] * BREAKER.failures_to_open)
    desk = Desk(_bench(world, clock), clock)
    for number in range(BREAKER.failures_to_open):
        await desk.take(_answer(number))
    clock.forward(BREAKER.open_seconds - 1)
    await desk.take(_answer(20))
    assert len(world.calls) == BREAKER.failures_to_open
    clock.forward(1)
    await desk.take(_answer(21))
    assert desk.ends == ["completed"]


async def test_a_new_process_knows_that_the_system_is_away() -> None:
    clock, world = Clock(), World(send=[AWAY] * 9)
    killed = _bench(world, clock)
    for number in range(BREAKER.failures_to_open):
        await killed.take(ACT, _answer(number))
    killed.tick()
    made = len(world.calls)
    writes = await _bench(world, clock).inherit(killed).take(ACT, _answer(5))
    assert len(world.calls) == made
    [record] = audited(writes)
    assert (record.kind, record.status, record.reason) == ("queued", "waiting", "again: desk is away")
    clock.forward(BREAKER.open_seconds)
    await _bench(world, clock).inherit(killed).take(ACT, _answer(6))
    assert len(world.calls) == made + 1, "the new process finds out, too"


async def test_read_again_after_a_crash_a_decision_may_wait_for_something_else_and_each_record_says_one_thing() -> None:
    clock = Clock()
    dead = _bench(World(send=[BUSY]), clock)
    first = await dead.take(ACT, _answer(0))
    heir = _bench(World(send=[AWAY] * 100), clock).inherit(dead)
    for number in range(1, BREAKER.failures_to_open + 1):
        await heir.take(ACT, _answer(number), number)
    again = await heir.take(ACT, _answer(0))
    [busy], [away] = audited(first), audited(again)
    assert busy.reason != away.reason == "again: desk is away"
    assert busy.record_id != away.record_id
    [timer], [same] = said(first, TIMERS, Timer), said(again, TIMERS, Timer)
    assert timer.timer_id == same.timer_id, "it comes back once all the same"


async def test_the_audit_says_once_that_an_action_waits_for_a_system_however_often_it_is_called() -> None:
    clock, world = Clock(), World(send=[AWAY] * 100_000)
    bench = _bench(world, clock)
    said_so, again = [], []
    for number in range(20):
        said_so += audited(await bench.take(ACT, _answer(1), number))
        again += audited(await bench.take(ACT, _answer(1), number))
        clock.forward(BREAKER.open_seconds_at_most)
    assert [record.reason for record in said_so] == ["again: no connection", "again: desk is away: no connection"]
    told_again = [record.reason for record in again if "is away" in record.reason]
    assert told_again == ["again: desk is away"], "a record that is delivered again says so again"
    world.answers["send"].clear()
    clock.forward(BREAKER.open_seconds_at_most)
    [ended] = audited(await bench.take(ACT, _answer(1), 20))
    assert ended.status == "completed"


async def test_what_waits_for_a_system_after_an_order_as_before_says_so_again() -> None:
    """Otherwise the end of the order is its last record, and it waits for hours as if it were at work."""
    clock, world, control = Clock(), World(send=[AWAY] * 1_000), in_force(CHARTER)
    bench = Bench(Act(control, world, clock))
    for number in range(10):
        await bench.take(ACT, _answer(1), number)
        clock.forward(BREAKER.open_seconds_at_most)
    control.apply(order("pause", "desk", "desk", time=clock()))
    [halted] = audited(await bench.take(ACT, _answer(1), 10))
    control.apply(order("resume", "desk", "desk", time=clock()))
    clock.forward(1)
    [goes_on] = [record for record in audited(bench.tick()) if record.kind != "outage"]
    [told] = audited(await bench.take(ACT, _answer(1), 11))
    assert [halted.status, goes_on.status, told.status] == ["waiting", "running", "waiting"]
    assert told.reason.startswith("again: desk is away")


async def test_an_action_is_given_up_when_its_charter_says_so() -> None:
    clock, world = Clock(), World(send=[AWAY] * 100_000)
    desk = Desk(_bench(world, clock), clock)
    await desk.take(_answer(1))
    await desk.until(DAY_S - 300)
    assert desk.ends == []
    await desk.until(600)
    assert (desk.ends, desk.waiting) == (["running"], [])


@pytest.mark.parametrize("answer", [BUSY, BROKEN])
async def test_what_says_nothing_of_the_system_does_not_stop_others(answer: object) -> None:
    world = World(send=[answer] * 9)  # type: ignore[list-item]  # a StepResult
    bench = _bench(world, Clock())
    for number in range(9):
        await bench.take(ACT, _answer(number))
    assert world.handlers == ["send"] * 9


@pytest.mark.parametrize("retry_after_s", [15.0, 3_600.0, float("inf"), 1e20])
def test_a_clock_that_was_ahead_shuts_no_circuit_for_longer(retry_after_s: float) -> None:
    clock, kept = Clock(), table("circuits")
    circuits = Circuits("act", BREAKER, clock)
    circuits.table.store = kept
    clock.forward(3_600)
    for _ in range(BREAKER.failures_to_open):
        generation = circuits.admit("desk")
        assert generation is not None
        circuits.record("desk", CallReport(generation, Result.FAILED, retry_after_s))
    _tick(circuits, 1)
    assert 0 < circuits.shut_for_s("desk") <= BREAKER.open_seconds_at_most
    clock.forward(-3_600)
    assert circuits.shut_for_s("desk") == 0
    assert circuits.admit("desk") is not None, "one call finds out"
    heir = Circuits("act", BREAKER, clock)
    heir.table.store = kept
    heir.recovered()
    assert not heir.is_open("desk")


def test_the_last_that_was_written_counts() -> None:
    clock, kept = Clock(), table("circuits")
    first, second = Circuits("act", BREAKER, clock), Circuits("act", BREAKER, clock)
    for circuits, partition in ((first, 1), (second, 2)):
        circuits.table.store = kept
        clock.forward(1)
        for _ in range(BREAKER.failures_to_open):
            generation = circuits.admit("desk")
            assert generation is not None
            circuits.record("desk", CallReport(generation, Result.FAILED))
        _tick(circuits, partition)
    clock.forward(BREAKER.open_seconds)
    generation = first.admit("desk")
    assert generation is not None
    first.record("desk", CallReport(generation, Result.SUCCEEDED))
    _tick(first, 1)
    heir = Circuits("act", BREAKER, clock)
    heir.table.store = kept
    heir.recovered()
    assert not heir.is_open("desk")


def _fails(circuits: Circuits) -> None:
    for _ in range(BREAKER.failures_to_open):
        generation = circuits.admit("desk")
        if generation is not None:
            circuits.record("desk", CallReport(generation, Result.FAILED))


def _answers(circuits: Circuits) -> None:
    generation = circuits.admit("desk")
    assert generation is not None
    circuits.record("desk", CallReport(generation, Result.SUCCEEDED))


def test_an_outage_that_lasts_is_told_once_and_its_end_too_whichever_process_sees_it() -> None:
    clock, kept = Clock(), table("circuits")
    circuits = Circuits("act", BREAKER, clock)
    circuits.table.store = kept
    since = clock.now
    _fails(circuits)
    assert _tick(circuits, 1) == [], "it may be busy for a moment"
    clock.forward(LASTS_S)
    _fails(circuits)
    assert _tick(circuits, 1) == [OutageDetail(stage="act", system="desk", since=since, is_over=False)]
    clock.forward(LASTS_S)
    _fails(circuits)
    assert _tick(circuits, 1) == []
    heir = Circuits("act", BREAKER, clock)
    heir.table.store = kept
    heir.recovered()
    clock.forward(LASTS_S)
    assert _tick(heir, 1) == [], "people know"
    _answers(heir)
    assert _tick(heir, 1) == [OutageDetail(stage="act", system="desk", since=since, is_over=True)]
    assert _tick(heir, 1) == []


def test_a_system_that_is_busy_for_a_moment_is_no_outage() -> None:
    clock = Clock()
    circuits = Circuits("act", BREAKER, clock)
    circuits.table.store = table("circuits")
    _fails(circuits)
    clock.forward(BREAKER.open_seconds)
    _answers(circuits)
    clock.forward(LASTS_S)
    assert _tick(circuits, 1) == []


def _tick(circuits: Circuits, partition: int) -> list[OutageDetail]:
    """Store what the circuits say. Gives the outages of which the audit is told."""
    writes = StagedWrites(CODEC, "t.", partition)
    circuits.tick(partition, writes)
    for put in writes.puts:
        put.store.write(put)
    return [detail_as(OutageDetail, record) for record in audited(writes)]


async def test_what_is_given_up_did_not_begin_when_it_was_given_up() -> None:
    """Otherwise it would look like a call that began after an order to stop."""
    clock = Clock()
    desk = Desk(_bench(World(retries=2, send=[AWAY] * 1000), clock), clock)
    for number in range(BREAKER.failures_to_open):
        await desk.take(_answer(number))
    away_since = clock.now
    await desk.take(_answer(9))
    clock.forward(DAY_S)
    [record] = audited(await desk._bench.take(ACT, _answer(9), 90))
    [outcome] = outcomes_of(record)
    assert (outcome.status, outcome.started_at, outcome.latency_ms) == ("failed", away_since, 0)
