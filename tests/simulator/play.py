"""Plays seeds and checks each world from outside, for the tests and the command line."""

import gc
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from random import Random

from tests.simulator import scenario
from tests.simulator.checks import violations
from tests.simulator.world import World

WORLDS_A_COLLECTION = 100
SEEDS_A_SHARE = 500


@dataclass(frozen=True, slots=True)
class Played:
    """The result of a seed. `story` is empty unless it was requested."""

    seed: int
    violations: tuple[str, ...]
    story: tuple[str, ...]
    moves: int
    deaths: int

    def __str__(self) -> str:
        """The violations, and the command that repeats them."""
        problems = "\n".join(f"  {problem}" for problem in self.violations)
        return f"seed {self.seed}:\n{problems}\nagain: python -m tests.simulator --seed {self.seed} --trace"


def play(seed: int, *, story: bool = False) -> Played:
    """Play one world from its beginning until it is idle."""
    rng = Random(seed)
    world = World(rng, scenario.draw(rng), [] if story else None)
    world.run()
    deaths = sum(world.lives.values()) - len(world.lives)
    return Played(seed, tuple(violations(world)), tuple(world.story or ()), world.moves, deaths)


def play_all(seeds: Iterable[int]) -> Iterator[Played]:
    """Play one world after the other, without the log lines about circuits that open."""
    with _undisturbed():
        for number, seed in enumerate(seeds, start=1):
            yield play(seed)
            if number % WORLDS_A_COLLECTION == 0:
                gc.collect()


def play_on_every_core(seeds: range) -> Iterator[Played]:
    """The same in one process for each core."""
    shares = [
        range(begin, min(begin + SEEDS_A_SHARE, seeds.stop)) for begin in range(seeds.start, seeds.stop, SEEDS_A_SHARE)
    ]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for share in pool.map(_played, shares):
            yield from share


def _played(seeds: range) -> list[Played]:
    return list(play_all(seeds))


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Play without logs and without garbage collection, which would take a third of the time for objects that stay."""
    logged = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        logging.disable(logged)
