"""Decides from the results of the last records whether the records or the stage are at fault. Pure.

There are three kinds of dead letters:

- The record is at fault (undecodable, out of bounds, forged, refused). Such records do not affect the stage, however
  many there are: each is a dead letter, and the records behind it continue.
- A handler failed. If that happens only to records of one origin, those are at fault after all, so the origin with the
  most failures is left out of the count.
- If too many records of the other origins fail as well, the stage is broken (a faulty version, a charter that was never
  applied), and every further record would become a dead letter needlessly. The stage pauses, and lets one record
  through after a pause that doubles up to `longest_pause_s`. The first success ends the pause without any person.

Replays do not count, because a person chose them and watches them.
"""

from collections import Counter, deque
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class RatioPolicy:
    """More than `at_most` of the last `of_last` records is too much, once there were `at_least`. 1.0 is never."""

    at_most: float = 0.5
    of_last: int = 200
    at_least: int = 50
    first_pause_s: float = 1.0
    # Below the watchdog's limit. At most six records a minute become dead letters while the stage is broken.
    longest_pause_s: float = 10.0


class Ended(NamedTuple):
    """How one record ended. `origin` identifies its producer; `failed`: the handler failed."""

    origin: str
    failed: bool


class FailureRatio:
    """The last records of one process, and whether it pauses. `now` is in seconds of a clock that never goes back."""

    def __init__(self, policy: RatioPolicy) -> None:
        self._policy = policy
        self._last: deque[Ended] = deque(maxlen=policy.of_last)
        self._failed: Counter[str] = Counter()
        self._pause_s = 0.0
        self._probe_at = 0.0

    @property
    def is_paused(self) -> bool:
        return self._pause_s > 0

    @property
    def failed(self) -> int:
        """The number of the last records whose handlers failed."""
        return self._failed.total()

    @property
    def records(self) -> int:
        """How many records the window has."""
        return len(self._last)

    def done(self, origin: str) -> bool:
        """A record was processed. Whether that ended a pause."""
        was_paused = self.is_paused
        if was_paused:
            self._pause_s = 0.0
            self._last.clear()
            self._failed.clear()
        self._count(Ended(origin, failed=False))
        return was_paused

    def refused(self, now: float) -> None:
        """A record itself was at fault, which says nothing about the stage: the next one may be tried at once."""
        if self.is_paused:
            self._probe_at = now

    def failed_at(self, origin: str, now: float) -> bool:
        """A handler failed on a record. Whether that started a pause."""
        self._count(Ended(origin, failed=True))
        if self.is_paused:
            self._pause_s = min(2 * self._pause_s, self._policy.longest_pause_s)
            self._probe_at = now + self._pause_s
            return False
        if not self._is_too_high():
            return False
        self._pause_s = self._policy.first_pause_s
        self._probe_at = now + self._pause_s
        return True

    def wait_s(self, now: float) -> float:
        """Seconds until the next record may be tried; 0 lets one record through."""
        if not self.is_paused:
            return 0.0
        if now < self._probe_at:
            return self._probe_at - now
        self._probe_at = now + self._pause_s  # the result of the record that is let through may never be reported
        return 0.0

    def _count(self, ended: Ended) -> None:
        if len(self._last) == self._policy.of_last and self._last[0].failed:
            self._forget(self._last[0].origin)
        self._last.append(ended)
        if ended.failed:
            self._failed[ended.origin] += 1

    def _forget(self, origin: str) -> None:
        self._failed[origin] -= 1
        if not self._failed[origin]:
            del self._failed[origin]

    def _is_too_high(self) -> bool:
        """Called only after a failure, so it may count through the window."""
        policy = self._policy
        if self.records < policy.at_least or self.failed <= policy.at_most * self.records:
            return False
        [(worst, failed)] = self._failed.most_common(1)
        others = sum(ended.origin != worst for ended in self._last)
        return not others or self.failed - failed > policy.at_most * others
