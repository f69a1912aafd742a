"""Processes are frozen for longer than their session, so that others take over, and then wake up."""

from random import Random

from tests.chaos.events import ANSWER, APPEND, LOOK, draw
from tests.chaos.scenario import Scenario
from tests.chaos.world import SESSION_TIMEOUT_S, World

NAME = "freeze-storm"
EVENTS_A_FREEZE = 60
FROZEN_S = SESSION_TIMEOUT_S + 3.0


def play(world: World, size: int, chance: Random) -> None:
    """A tenth as many freezes as the kill storm has kills, one at a time."""
    freezes = max(1, size // 10)
    events = draw(NAME, freezes * EVENTS_A_FREEZE, chance, (ANSWER, APPEND, LOOK))
    world.send(events, over_s=freezes * FROZEN_S)
    for _ in range(freezes):
        name = chance.choice(world.fleet.names)
        world.pause(chance.uniform(0.5, 3.0))
        world.fleet.freeze(name)
        world.pause(FROZEN_S)
        world.fleet.thaw(name)


SCENARIO = Scenario(NAME, play)
