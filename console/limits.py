"""Limits how often somebody may try to log in or change something. The counts are kept in memory, for a bounded number
of names.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

NAMES_AT_MOST = 10_000


class TooMany(Exception):
    """Somebody tried too often; `wait_s` says how long to wait."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too often: wait {max(1, round(wait_s))} s")
        self.wait_s = wait_s


@dataclass(slots=True)
class Limit:
    """At most `count` in any `per_s` seconds, for each name."""

    count: int
    per_s: float
    clock: Callable[[], float] = time.monotonic
    _times: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def check(self, name: str) -> None:
        """Raises `TooMany` while the limit is reached."""
        with self._changing:
            self._check(name)

    def take(self, name: str) -> None:
        """Count one. Raises `TooMany`, and counts nothing, if the limit is reached."""
        with self._changing:
            self._check(name)
            self._times.setdefault(name, deque()).append(self.clock())
            self._times.move_to_end(name)
            while len(self._times) > NAMES_AT_MOST:
                self._times.popitem(last=False)

    def _check(self, name: str) -> None:
        times, now = self._times.get(name, deque[float]()), self.clock()
        while times and now - times[0] >= self.per_s:
            times.popleft()
        if len(times) >= self.count:
            raise TooMany(self.per_s - (now - times[0]))
