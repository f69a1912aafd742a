"""Processes of all stages and the sinks are killed at random moments while events come in."""

from random import Random

from tests.chaos.events import ANSWER, APPEND, LOOK, draw
from tests.chaos.scenario import Scenario
from tests.chaos.world import World

NAME = "kill-storm"
EVENTS_A_KILL = 25
PAUSES_S = (1.0, 4.0)
# Of each hundred events so many come twice.
DUPLICATES = 3


def play(world: World, size: int, chance: Random) -> None:
    """`size` kills, spread evenly over the events."""
    events = draw(NAME, size * EVENTS_A_KILL, chance, (ANSWER, ANSWER, APPEND, LOOK))
    again = chance.sample(events, len(events) * DUPLICATES // 100)
    world.send(events, over_s=size * sum(PAUSES_S) / 2, again=again)
    for _ in range(size):
        world.pause(chance.uniform(*PAUSES_S))
        world.fleet.kill(chance.choice(world.fleet.names))


SCENARIO = Scenario(NAME, play)
