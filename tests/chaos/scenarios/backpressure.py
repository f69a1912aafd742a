"""More events arrive than are handled, for longer than a consumer may go without polling. No consumer may be removed
from its group.

Kafka's own limit is five minutes. The short form is one round of answers, and only shows that the scenario runs.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random

from tests.chaos.events import ANSWER, draw
from tests.chaos.facts import Facts
from tests.chaos.fleet import INSTANCES
from tests.chaos.scenario import SHORT, Scenario
from tests.chaos.world import IN_FLIGHT, World
from tests.fakes.model_server import Step

NAME = "backpressure"
ANSWER_SHORT_S, ANSWER_LONG_S = 3.0, 10.0
ROUNDS_SHORT, ROUNDS_LONG = 1, 33


def play(world: World, size: int, chance: Random) -> None:
    """Send so many events at once that all the model calls that fit take that long. A process that ends by itself has
    lost its partitions.
    """
    rounds, answer_s = (ROUNDS_LONG, ANSWER_LONG_S) if size > SHORT else (ROUNDS_SHORT, ANSWER_SHORT_S)
    count = rounds * IN_FLIGHT * INSTANCES
    usual = world.outside.model.usual
    before = world.fleet.exits.total()
    world.outside.model.usual = Step(delay_seconds=answer_s)
    world.send(draw(NAME, count, chance, (ANSWER,), subjects=count))
    if not world.ended(NAME, within_s=rounds * answer_s * 6 + 120):
        world.observed.append(f"{NAME}: no end in six times the time that they need; behind: {world.behind()}")
    world.outside.model.usual = usual
    if world.fleet.exits.total() > before:
        world.observed.append(f"{NAME}: processes ended: {dict(world.fleet.exits)}")


def asked_once(facts: Facts) -> Iterator[str]:
    """A worker that keeps its partitions asks no question twice."""
    asked = Counter(one for one in facts.asked if one.source == NAME)
    extra = asked.total() - len(asked)
    if extra:
        yield f"{extra} questions were asked again"


SCENARIO = Scenario(NAME, play, (asked_once,))
