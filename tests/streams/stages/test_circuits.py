"""A system that is away queues what wants to go there and loses none of it; one call finds out that it is back."""

import pytest

from processors.breaker import Report, Result
from schemas.records import Decision, Reminder
from schemas.topics import ACT, LATER
from streams.runtime.changes import Changes
from streams.stages.act import Act
from streams.stages.calls import BREAKER
from streams.stages.circuits import Circuits
from tests.processors.examples import case, compiled, event
from tests.streams.runtime.memory import table
from tests.streams.stages.bench import CODEC, Bench, Clock, audited, in_force, said
from tests.streams.stages.world import AWAY, BROKEN, BUSY, World, decision

CHARTER = compiled()
DAY_S = 86_400


def _answer(number: int) -> Decision:
    other = event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"})
    return decision(case(CHARTER, other), text="tomorrow")


def _bench(world: World, clock: Clock) -> Bench:
    return Bench(Act(in_force(CHARTER), world, clock))


class Desk:
    """The later stage's part: what waits comes again when it is due."""

    def __init__(self, bench: Bench, clock: Clock) -> None:
        self._bench = bench
        self._clock = clock
        self._offset = 0
        self.waiting: list[Reminder] = []
        self.ends: list[str] = []

    async def take(self, record: Decision) -> None:
        self._offset += 1
        changes = await self._bench.take(ACT, record, self._offset)
        self.waiting += said(changes, LATER, Reminder)
        self.ends += [record.status for record in audited(changes) if record.kind == "acted"]

    async def until(self, seconds: float) -> None:
        """Everything that is due within so long, in its order."""
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
    changes = await _bench(world, clock).inherit(killed).take(ACT, _answer(5))
    assert len(world.calls) == made
    [record] = audited(changes)
    assert (record.kind, record.status, record.reason) == ("queued", "waiting", "again: desk is away")
    clock.forward(BREAKER.open_seconds)
    await _bench(world, clock).inherit(killed).take(ACT, _answer(6))
    assert len(world.calls) == made + 1, "the new process finds out, too"


async def test_an_action_is_given_up_when_its_charter_says_so() -> None:
    clock, world = Clock(), World(send=[AWAY] * 100_000)
    desk = Desk(_bench(world, clock), clock)
    await desk.take(_answer(1))
    await desk.until(DAY_S - 300)
    assert desk.ends == []
    await desk.until(600)
    assert (desk.ends, desk.waiting) == (["failed"], [])


@pytest.mark.parametrize("answer", [BUSY, BROKEN])
async def test_what_says_nothing_of_the_system_does_not_stop_others(answer: object) -> None:
    world = World(send=[answer] * 9)  # type: ignore[list-item]  # a Performed
    bench = _bench(world, Clock())
    for number in range(9):
        await bench.take(ACT, _answer(number))
    assert world.handlers == ["send"] * 9


def test_the_last_that_was_written_counts() -> None:
    clock, kept = Clock(), table("circuits")
    first, second = Circuits("act", BREAKER, clock), Circuits("act", BREAKER, clock)
    for circuits, partition in ((first, 1), (second, 2)):
        circuits.bind(kept)
        clock.forward(1)
        for _ in range(BREAKER.failures_to_open):
            generation = circuits.admit("desk")
            assert generation is not None
            circuits.record("desk", Report(generation, Result.FAILED))
        _tick(circuits, partition)
    clock.forward(BREAKER.open_seconds)
    generation = first.admit("desk")
    assert generation is not None
    first.record("desk", Report(generation, Result.SUCCEEDED))
    _tick(first, 1)
    heir = Circuits("act", BREAKER, clock)
    heir.bind(kept)
    heir.recovered()
    assert not heir.is_open("desk")


def _tick(circuits: Circuits, partition: int) -> None:
    changes = Changes(CODEC, "t.", partition)
    circuits.tick(partition, changes)
    for put in changes.puts:
        put.table.write(put)
