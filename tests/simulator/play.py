"""Plays seeds and looks at each world from outside. Called by the tests and by the command line."""

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
    """What a seed came to. `story` is empty unless it was asked for."""

    seed: int
    violations: tuple[str, ...]
    story: tuple[str, ...]
    moves: int
    deaths: int

    def __str__(self) -> str:
        """What is wrong, and the command that plays it again."""
        problems = "\n".join(f"  {problem}" for problem in self.violations)
        return f"seed {self.seed}:\n{problems}\nagain: python -m tests.simulator --seed {self.seed} --trace"


def play(seed: int, *, story: bool = False) -> Played:
    """One world from its beginning to its rest."""
    rng = Random(seed)
    world = World(rng, scenario.draw(rng), [] if story else None)
    world.run()
    deaths = sum(world.lives.values()) - len(world.lives)
    return Played(seed, tuple(violations(world)), tuple(world.story or ()), world.moves, deaths)


def play_all(seeds: Iterable[int]) -> Iterator[Played]:
    """One world after the other. Circuits that open are no news here."""
    with _undisturbed():
        for number, seed in enumerate(seeds, start=1):
            yield play(seed)
            if number % WORLDS_A_COLLECTION == 0:
                gc.collect()


def play_on_every_core(seeds: range) -> Iterator[Played]:
    """The same in a process for each core."""
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
    """Without logs, and without a third of the time spent on looking for garbage among what stays."""
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
