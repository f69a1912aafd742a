"""What a scenario is. `catalog.py` lists them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

from tests.chaos.facts import Facts
from tests.chaos.world import World


@dataclass(frozen=True)
class Scenario:
    """`play(world, size, chance)` sends and breaks; it need not wait for the end. `checks` come beside those that must
    always hold. The size is the number of kills of a kill storm, and everything else is in proportion: 6 is short, 200
    is long.
    """

    name: str
    play: Callable[[World, int, Random], None]
    checks: tuple[Callable[[Facts], Iterator[str]], ...] = ()
