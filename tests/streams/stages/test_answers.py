"""An answer to a call that only reads is kept, said to be from the cache, and never given to a call that writes."""

import orjson
import pytest

from schemas.records import AuditRecord, Decision
from schemas.topics import ACT
from streams.ports import Performed
from streams.stages import answers
from streams.stages.act import Act
from tests.processors.examples import case, compiled, event
from tests.streams.stages.bench import Bench, Clock, audited, in_force
from tests.streams.stages.world import AWAY, World, decision

CACHED = compiled(("read_only: true}", "read_only: true, cache: 10m}"))


def _look(number: int, customer: str = "c-1") -> Decision:
    other = event(customer=customer).model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"})
    return decision(case(CACHED, other), "look", "research")


def _bench(world: World, clock: Clock) -> Bench:
    return Bench(Act(in_force(CACHED), world, clock))


def _outcome(records: list[AuditRecord]) -> dict[str, object]:
    [outcome] = orjson.loads(records[-1].detail)["outcomes"]
    return {name: outcome[name] for name in ("status", "from_cache", "attempts")}


async def test_the_same_question_is_asked_once_within_its_time() -> None:
    clock, world = Clock(), World()
    bench = _bench(world, clock)
    first = _outcome(audited(await bench.take(ACT, _look(1), 1)))
    again = _outcome(audited(await bench.take(ACT, _look(2), 2)))
    assert first == {"status": "done", "from_cache": False, "attempts": 1}
    assert again == {"status": "done", "from_cache": True, "attempts": 0}
    assert world.handlers == ["history"]
    clock.forward(599)
    await _bench(world, clock).inherit(bench).take(ACT, _look(3), 3)
    assert world.handlers == ["history"], "a new process knows it too"
    clock.forward(1)
    await bench.take(ACT, _look(4), 4)
    assert world.handlers == ["history"] * 2


async def test_another_question_is_another_call() -> None:
    world = World()
    bench = _bench(world, Clock())
    for number in range(3):
        await bench.take(ACT, _look(number, customer=f"c-{number}"), number)
    assert world.handlers == ["history"] * 3


async def test_what_failed_is_not_kept() -> None:
    world = World(history=[Performed("failed", error="404", answered=True)])
    bench = _bench(world, Clock())
    for number in range(2):
        await bench.take(ACT, _look(number), number)
    assert world.handlers == ["history"] * 2


async def test_a_known_answer_needs_nobody_to_be_there() -> None:
    clock = Clock()
    world = World(send=[AWAY] * 9)
    bench = _bench(world, clock)
    await bench.take(ACT, _look(0), 0)
    for number in range(1, 4):
        other = event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"})
        await bench.take(ACT, decision(case(CACHED, other), text="tomorrow"), number)
    assert _outcome(audited(await bench.take(ACT, _look(5), 5)))["from_cache"]


async def test_a_step_that_writes_is_made_each_time() -> None:
    world = World()
    bench = _bench(world, Clock())
    for number in range(2):
        other = event().model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"})
        await bench.take(ACT, decision(case(CACHED, other), text="tomorrow"), number)
    assert world.handlers.count("send") == 2


async def test_the_cache_is_bounded_and_empties_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ANSWERS_AT_MOST", 2)
    clock, world = Clock(), World()
    bench = _bench(world, clock)
    for number in range(4):
        await bench.take(ACT, _look(number, customer=f"c-{number}"), number)
    assert len(bench.tables["answers"]) == 2
    clock.forward(600)
    bench.tick()
    assert len(bench.tables["answers"]) == 0


async def test_an_answer_that_is_too_large_is_not_kept() -> None:
    large = Performed("done", result='"' + "x" * answers.ANSWER_BYTES_AT_MOST + '"', answered=True)
    bench = _bench(World(history=[large]), Clock())
    await bench.take(ACT, _look(1))
    assert len(bench.tables["answers"]) == 0
