"""ClickHouse is killed and comes back. No stage waits for it meanwhile, and each row is stored once."""

from random import Random

from tests.chaos.events import ANSWER, draw
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import World

NAME = "clickhouse-away"
EVENTS = 60
AWAY_SHORT_S, AWAY_LONG_S = 8.0, 90.0
WITHOUT_IT_S = 90.0


def play(world: World, size: int, chance: Random) -> None:
    """Send events before, during and after the outage; kill one sink during it."""
    database = world.service("clickhouse")
    events = draw(NAME, EVENTS, chance, (ANSWER,))
    world.send(events, over_s=6.0)
    world.pause(chance.uniform(1.0, 3.0))
    database.kill()
    world.fleet.kill(chance.choice(("sink-0", "sink-1")))
    # Every event of this scenario ends with a note.
    if not world.until(lambda: world.outside.actions.events_at("/notes", NAME) >= EVENTS, WITHOUT_IT_S):
        world.observed.append(f"{NAME}: events waited for ClickHouse")
    world.pause(AWAY_LONG_S if size > SHORT else AWAY_SHORT_S)
    database.start()


SCENARIO = Scenario(NAME, play)
