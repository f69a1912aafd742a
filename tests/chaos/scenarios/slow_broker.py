"""The broker accepts 20 kB a second from each client while processes are killed. No update of a table may be lost.

Records then wait in the producers' buffers for seconds, and a commit must not overtake them.
"""

from random import Random

from tests.chaos.events import ANSWER, APPEND, draw
from tests.chaos.scenario import Scenario
from tests.chaos.world import World

NAME = "slow-broker"
BYTES_PER_S = 20_000
EVENTS_A_KILL = 10
PAUSES_S = (3.0, 6.0)


def play(world: World, size: int, chance: Random) -> None:
    """A third as many kills as the kill storm has; the events are sent before the broker is slow."""
    kills = max(2, size // 3)
    world.send(draw(NAME, kills * EVENTS_A_KILL, chance, (ANSWER, APPEND)))
    world.sender.finish()
    broker = world.service("kafka")
    broker.limit_producers(BYTES_PER_S)
    for _ in range(kills):
        world.pause(chance.uniform(*PAUSES_S))
        world.fleet.kill(chance.choice([name for name in world.fleet.names if not name.startswith("sink")]))
    world.pause(PAUSES_S[1])
    broker.limit_producers(None)


SCENARIO = Scenario(NAME, play)
