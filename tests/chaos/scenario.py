"""The type of a scenario. `catalog.py` lists all scenarios."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from tests.chaos.facts import Facts
from tests.chaos.world import World

# The size of a run is the number of kills of its kill storm; everything else is in proportion.
SHORT, LONG = 6, 200


@dataclass(frozen=True)
class Scenario:
    """`play(world, size, chance)` sends and breaks; it need not wait for the end. `checks` run in addition to those
    that must always hold. `proxied` scenarios get a pipeline whose processes reach the broker only through
    `world.proxy`.
    """

    name: str
    play: Callable[[World, int, Random], None]
    checks: tuple[Callable[[Facts], Iterator[str]], ...] = ()
    proxied: bool = False
