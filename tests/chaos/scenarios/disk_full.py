"""The broker's disk is full: its writes fail, it ends, and it comes back when there is room again.

The broker has to repair an append that fails half-way. We have to show that nothing that it had acknowledged is
missing, and that nothing is done twice because of what it had not acknowledged.
"""

from random import Random

from tests.chaos.events import ANSWER, APPEND, draw
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World

NAME = "disk-full"
EVENTS = 60
TIMES_SHORT, TIMES_LONG = 1, 5
ENDS_WITHIN_S = 30.0
FULL_S = (2.0, 8.0)


def play(world: World, size: int, chance: Random) -> None:
    """Fill the disk in the middle of a load for some seconds, repeatedly."""
    for number in range(TIMES_LONG if size > SHORT else TIMES_SHORT):
        world.send(draw(f"{NAME}-{number}", EVENTS, chance, (ANSWER, APPEND)), over_s=3.0)
        world.pause(chance.uniform(0.5, 2.5))
        broker = world.service("kafka")
        broker.fill_disk()
        if not world.until(broker.has_ended, ENDS_WITHIN_S):
            world.observed.append(f"{NAME}: the broker went on for {ENDS_WITHIN_S:.0f} s with its disk full")
            broker.kill()
        world.pause(chance.uniform(*FULL_S))
        broker.start()


SCENARIO = Scenario(NAME, play)
