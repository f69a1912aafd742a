"""The answer to a read-only call is cached, marked as cached, and never given to a call that writes."""

import pytest

from nightdesk.processors.playbook import StepResult
from nightdesk.schemas.records import AuditRecord, Decision
from nightdesk.schemas.topics import ACT
from nightdesk.streams.stages import response_cache as answers
from nightdesk.streams.stages.act import Act
from tests.processors.examples import case, compiled, event
from tests.schemas.details import outcomes_of
from tests.streams.stages.stage_harness import Bench, Clock, audited, in_force
from tests.streams.stages.world import AWAY, World, decision

CACHED = compiled(("read_only: true}", "read_only: true, cache: 10m}"))


def _look(number: int, customer: str = "c-1") -> Decision:
    other = event(customer=customer).model_copy(update={"id": f"e-{number}", "subject": f"t-{number}"})
    return decision(case(CACHED, other), "look", "research")


def _bench(world: World, clock: Clock) -> Bench:
    return Bench(Act(in_force(CACHED), world, clock))


def _outcome(records: list[AuditRecord]) -> dict[str, object]:
    [outcome] = outcomes_of(records[-1])
    return outcome.model_dump(include={"status", "from_cache", "attempts"})


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
    world = World(history=[StepResult("failed", error="404", answered=True)])
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
    large = StepResult("done", result='"' + "x" * answers.ANSWER_BYTES_AT_MOST + '"', answered=True)
    bench = _bench(World(history=[large]), Clock())
    await bench.take(ACT, _look(1))
    assert len(bench.tables["answers"]) == 0


def _reply(number: int, offset: int) -> Decision:
    other = event(customer="c-1").model_copy(update={"id": f"w-{offset}", "subject": f"t-{number}"})
    return decision(case(CACHED, other), text="tomorrow")


async def test_after_its_own_write_a_subject_reads_nothing_older() -> None:
    clock, world = Clock(), World()
    bench = _bench(world, clock)
    await bench.take(ACT, _look(1), 1)
    clock.forward(1)
    await bench.take(ACT, _reply(2, 2), 2)
    assert not _outcome(audited(await bench.take(ACT, _look(2), 3)))["from_cache"], "ticket 2 was answered since"
    assert world.handlers.count("history") == 2
    assert _outcome(audited(await bench.take(ACT, _look(3), 4)))["from_cache"], "another subject wrote nothing"


async def test_a_new_process_knows_of_the_write() -> None:
    clock, world = Clock(), World()
    bench = _bench(world, clock)
    await bench.take(ACT, _look(1), 1)
    clock.forward(1)
    await bench.take(ACT, _reply(2, 2), 2)
    new = _bench(world, clock).inherit(bench)
    assert not _outcome(audited(await new.take(ACT, _look(2), 3)))["from_cache"]
    clock.forward(1)
    assert _outcome(audited(await new.take(ACT, _look(3), 4)))["from_cache"]


@pytest.mark.parametrize("result", [StepResult("unknown", error="no answer"), StepResult("failed", error="500")])
async def test_a_write_that_may_have_happened_counts_too(result: StepResult) -> None:
    clock, world = Clock(), World(send=[result])
    bench = _bench(world, clock)
    await bench.take(ACT, _look(1), 1)
    clock.forward(1)
    await bench.take(ACT, _reply(2, 2), 2)
    assert not _outcome(audited(await bench.take(ACT, _look(2), 3)))["from_cache"]
