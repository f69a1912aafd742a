"""Processes are asked to stop one after the other, as in an upgrade. That costs hardly any extra model call."""

from collections import Counter
from collections.abc import Iterator
from random import Random

from tests.chaos.events import ANSWER, APPEND, draw
from tests.chaos.facts import Facts
from tests.chaos.scenario import Scenario
from tests.chaos.world import World

NAME = "rolling-restarts"
EVENTS_A_RESTART = 30
EXPECTED_S = 8.0
READY_WITHIN_S = 120.0
EXTRA_CALLS_AT_MOST = 0.05


def play(world: World, size: int, chance: Random) -> None:
    """A tenth as many restarts as the kill storm has kills, but at least both decide stages."""
    names = sorted(world.fleet.names, key=lambda name: (not name.startswith("decide"), chance.random()))
    restarts = max(2, size // 10)
    world.until(world.fleet.are_ready, READY_WITHIN_S)
    world.send(draw(NAME, restarts * EVENTS_A_RESTART, chance, (ANSWER, APPEND)), over_s=restarts * EXPECTED_S)
    for number in range(restarts):
        name = names[number % len(names)]
        stopped = world.fleet.ended(name)
        world.fleet.terminate(name)
        world.until(stopped, READY_WITHIN_S)
        world.until(world.fleet.are_ready, READY_WITHIN_S)


def few_extra_calls(facts: Facts) -> Iterator[str]:
    """Hardly any question is asked twice."""
    asked = Counter(one for one in facts.asked if one.source == NAME)
    extra = asked.total() - len(asked)
    if extra > EXTRA_CALLS_AT_MOST * len(asked):
        yield f"{extra} of {len(asked)} questions were asked again"


SCENARIO = Scenario(NAME, play, (few_extra_calls,))
