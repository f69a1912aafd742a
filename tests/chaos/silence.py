"""Measures from outside how long partitions of a stage stand still: how long the committed offset of a partition does
not move although the log continues behind it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from nightdesk.messaging.failures import Failure
from nightdesk.messaging.log_offsets import Place
from nightdesk.messaging.settings import KafkaSettings
from nightdesk.operations.stage_status import committed, topic_bounds

LOOK_S = 0.2


@dataclass
class Silence:
    """The longest time that a partition stood still, in seconds."""

    longest_s: dict[Place, float] = field(default_factory=dict)
    _since: dict[Place, tuple[int, float]] = field(default_factory=dict)

    def look(self, done: dict[Place, int], ends: dict[Place, int], now_s: float) -> None:
        """One look at the offsets. A partition that has nothing left to do does not stand still."""
        for place, end in ends.items():
            offset = done.get(place, 0)
            at, since_s = self._since.get(place, (-1, now_s))
            if offset != at or offset >= end:
                self._since[place] = (offset, now_s)
                continue
            self.longest_s[place] = max(self.longest_s.get(place, 0.0), now_s - since_s)

    @property
    def worst_s(self) -> float:
        return max(self.longest_s.values(), default=0.0)


@contextmanager
def watched(kafka: KafkaSettings, stage: str, topic: str) -> Iterator[Callable[[], Silence]]:
    """Watch one topic of a stage; the result begins a new measurement and returns it."""
    measuring, over = Silence(), threading.Event()

    def anew() -> Silence:
        nonlocal measuring
        measuring = Silence()
        return measuring

    def look_repeatedly() -> None:
        while not over.wait(LOOK_S):
            try:
                bounds = topic_bounds(kafka, topic)
                done = committed(kafka, stage, bounds)
            except Failure:
                continue
            ends = {place: found.stable for place, found in bounds.items()}
            measuring.look(done, ends, time.monotonic())

    thread = threading.Thread(target=look_repeatedly, daemon=True)
    thread.start()
    try:
        yield anew
    finally:
        over.set()
        thread.join()
