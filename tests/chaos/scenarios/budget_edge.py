"""More cases than the day's money can pay arrive at once. Spending stays under the limit, and the rest is refused.

The limit is checked at every moment of every scenario (`money.limit_kept`).
"""

from collections import Counter
from collections.abc import Iterator
from random import Random

from tests.chaos.events import FRUGAL, draw
from tests.chaos.facts import Facts
from tests.chaos.scenario import Scenario
from tests.chaos.world import World

NAME = "budget-edge"
AGENT = "frugal"
EVENTS = 100


def play(world: World, size: int, chance: Random) -> None:
    """Send a hundred events at once; kill the budget stages while they decide."""
    world.send(draw(NAME, EVENTS, chance, (FRUGAL,), subjects=EVENTS))
    for name in ("budget-0", "budget-1") if size > 1 else ():
        world.pause(chance.uniform(0.5, 3.0))
        world.fleet.kill(name)


def spent_to_the_edge(facts: Facts) -> Iterator[str]:
    """The money was spent, never more than there was, and some cases got none."""
    statuses = Counter(status for (source, _), status in facts.ends if source == NAME)
    spent = facts.costs[AGENT].cost_microusd if AGENT in facts.costs else 0
    if spent > facts.limits_microusd[AGENT]:
        yield f"{spent} were spent of {facts.limits_microusd[AGENT]}"
    if not statuses["completed"] or not statuses["refused"]:
        yield f"the edge was never reached: {dict(statuses)}"


SCENARIO = Scenario(NAME, play, (spent_to_the_edge,))
