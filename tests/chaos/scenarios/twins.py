"""A second process is started under the instance id of a running one, as two machines with one configuration do.

One of the two ends and says why; what both have read is executed once.
"""

from random import Random

from nightdesk.streams.runtime.process.fail_stop import ExitCode
from tests.chaos.events import ANSWER, APPEND, draw
from tests.chaos.scenario import Scenario
from tests.chaos.world import World

NAME = "twins"
EVENTS_A_TWIN = 40
OVER_S = 20.0
# Both kinds that reach out.
STAGES = ("act", "decide")
READY_WITHIN_S = 120.0
ENDED_WITHIN_S = 60.0


def play(world: World, size: int, chance: Random) -> None:
    """Start a twin of each stage that calls the outside; in the long form a twentieth as many twins as the kill storm
    has kills.
    """
    twins = max(len(STAGES), size // 20)
    for number in range(twins):
        world.until(world.fleet.are_ready, READY_WITHIN_S)
        source = f"{NAME}-{number}"
        world.send(draw(source, EVENTS_A_TWIN, chance, (ANSWER, APPEND)), over_s=OVER_S)
        world.pause(chance.uniform(1.0, 4.0))
        name = f"{STAGES[number % len(STAGES)]}-{chance.randrange(2)}"
        _start(world, name)


def _start(world: World, name: str) -> None:
    """If the first process ends, the supervisor restarts it, so its twin ends and is not restarted."""
    before = world.fleet.exits[ExitCode.TWIN]
    twin = world.fleet.start_twin(name)
    world.until(lambda: twin.exit_status is not None, ENDED_WITHIN_S)
    if twin.exit_status != ExitCode.TWIN and world.fleet.exits[ExitCode.TWIN] == before:
        world.observed.append(f"{NAME}: neither {name} nor its twin ended as one of two: it {twin.how_it_ended}")
    twin.wait_or_kill(0.0)


SCENARIO = Scenario(NAME, play, proxied=True)
