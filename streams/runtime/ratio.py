"""How many of the last records became dead letters: more than a share means that the stage is at fault, not they. Pure.

Asked by the guard after each record. What a person sent again does not count: it was chosen, and is watched.
"""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RatioPolicy:
    """More than `at_most` of the last `of_last` records is too much, once there were `at_least`. 1.0 is never."""

    at_most: float = 0.5
    of_last: int = 200
    at_least: int = 50


class DeadLetterRatio:
    """The last records of one process: which of them became dead letters."""

    def __init__(self, policy: RatioPolicy) -> None:
        self._policy = policy
        self._last: deque[bool] = deque(maxlen=policy.of_last)
        self.dead = 0

    @property
    def records(self) -> int:
        """How many are looked at."""
        return len(self._last)

    def count(self, is_dead: bool) -> None:
        """One more record has ended."""
        if len(self._last) == self._policy.of_last:
            self.dead -= self._last[0]
        self._last.append(is_dead)
        self.dead += is_dead

    @property
    def is_too_high(self) -> bool:
        return self.records >= self._policy.at_least and self.dead > self._policy.at_most * self.records
