"""Answers: `answers`, of the act stage."""

from nightdesk.schemas.topics import ACT
from nightdesk.streams.stages.act import Act
from tests.processors.examples import case, compiled, event
from tests.streams.kept.stories.story import Story
from tests.streams.kept.tables import Tables, recover
from tests.streams.stages.stage_harness import Bench, Clock, in_force
from tests.streams.stages.world import World, decision

CACHED = compiled(("read_only: true}", "read_only: true, cache: 10m}"))
ASKS, ASKS_TOO = (
    decision(case(CACHED, event(customer="c-1").model_copy(update={"id": f"e-{number}"})), "look", "research")
    for number in (1, 2)
)


def _act(world: World) -> Bench:
    return Bench(Act(in_force(CACHED), world, Clock()))


async def _an_answer_came() -> Bench:
    bench = _act(World())
    await bench.take(ACT, ASKS)
    return bench


async def _nobody_is_asked_again_in_vain(tables: Tables) -> None:
    """Whether the answer is found depends on the handler's definition at that time; it does no harm if it is not
    found.
    """
    world = World()
    bench = recover(_act(world), tables)
    await bench.take(ACT, ASKS_TOO, 1)
    assert world.handlers in ([], ["history"])
    bench.handlers._clock.forward(601)  # type: ignore[attr-defined]  # the bench's own clock
    bench.tick()
    assert len(bench.tables["answers"]) == 0


STORIES = (Story("an answer came", _an_answer_came, _nobody_is_asked_again_in_vain),)
