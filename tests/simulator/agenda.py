"""Everything that may happen next, in any order. A random choice decides, so every order of events is possible.

The world uses it; processes, models, actions and people add to it. What a process began ends with it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

Happening = Callable[[], None]


@dataclass(slots=True, eq=False)
class Life:
    """The life of one process. When it is over, nothing of it happens any more."""

    stage: str
    over: bool = False


# What is no process's own: people, time, the network.
WORLD = Life("world")


class Agenda:
    """What may happen, and whose it is."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._waiting: list[tuple[Life, Happening]] = []

    def add(self, life: Life, happening: Happening) -> None:
        self._waiting.append((life, happening))

    def pick(self) -> tuple[Life, Happening] | None:
        """The next thing to happen; None if there is none."""
        waiting = self._waiting
        while waiting:
            at = int(self._rng.random() * len(waiting))
            waiting[at], waiting[-1] = waiting[-1], waiting[at]
            life, happening = waiting.pop()
            if not life.over:
                return life, happening
        return None
