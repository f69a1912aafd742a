"""The broker is frozen for 5, 30 and 120 seconds, is killed, and is killed while tables are recovered.

Within a minute of its return all workers process records again.
"""

from collections.abc import Callable
from random import Random

from tests.chaos.events import ANSWER, APPEND, draw
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World

NAME = "broker-away"
EVENTS = 60
AWAY_SHORT_S, AWAY_LONG_S = (5.0,), (5.0, 30.0, 120.0)
DEAD_S = 5.0
BACK_WITHIN_S = 60.0


def play(world: World, size: int, chance: Random) -> None:
    """The short form has one pause and one kill, and does not check how long recovery took."""
    pauses_s = AWAY_LONG_S if size > SHORT else AWAY_SHORT_S
    outages = [_stands_still(world, pause_s) for pause_s in pauses_s]
    outages += (
        [lambda: _dies(world), lambda: _dies_in_recovery(world, chance)] if size > SHORT else [lambda: _dies(world)]
    )
    for number, outage in enumerate(outages):
        world.send(draw(f"{NAME}-{number}", EVENTS, chance, (ANSWER, APPEND)), over_s=3.0)
        world.pause(chance.uniform(0.5, 2.5))
        outage()
        if size > SHORT:
            _is_back(world, f"{NAME}-{number}")


def _stands_still(world: World, pause_s: float) -> Callable[[], None]:
    def stand_still() -> None:
        broker = world.service("kafka")
        broker.freeze()
        world.pause(pause_s)
        broker.thaw()

    return stand_still


def _dies(world: World) -> None:
    broker = world.service("kafka")
    broker.kill()
    world.pause(DEAD_S)
    broker.start()


def _dies_in_recovery(world: World, chance: Random) -> None:
    """Every worker starts again and reads its tables when the broker is killed."""
    for name in world.fleet.names:
        world.fleet.kill(name)
    world.until(lambda: len(world.fleet.unready()) < len(world.fleet.names), BACK_WITHIN_S)
    world.pause(chance.uniform(0.0, 1.0))
    _dies(world)


def _is_back(world: World, source: str) -> None:
    """Wait until every worker has its partitions and tables again and the events that were sent meanwhile have
    ended.
    """
    if not world.until(world.fleet.are_ready, BACK_WITHIN_S):
        world.observed.append(
            f"{source}: {world.fleet.unready()} not ready {BACK_WITHIN_S:.0f} s after the broker's return"
        )
    if not world.ended(source, BACK_WITHIN_S):
        world.observed.append(f"{source}: events without an end {BACK_WITHIN_S:.0f} s after the broker's return")


SCENARIO = Scenario(NAME, play)
