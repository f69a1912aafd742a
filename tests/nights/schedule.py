"""What happens next, by the clock: what is due now in the order in which it was added, then the next thing that is due.

It takes the place of the simulator's agenda, where chance picks. What a process began dies with it.
"""

import heapq
from collections import deque
from datetime import UTC, datetime
from functools import partial

from tests.simulator.agenda import WORLD, Happening, Life
from tests.streams.stages.stage_harness import Clock


class Schedule:
    """Moves the clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now: deque[tuple[Life, Happening]] = deque()
        self._later: list[tuple[float, int, Life, Happening]] = []
        self._added = 0

    def add(self, life: Life, happening: Happening) -> None:
        """Let it happen at once, after what was added before."""
        self._now.append((life, happening))

    def at(self, seconds: float, happening: Happening, life: Life = WORLD) -> None:
        """Let it happen when the clock is there (epoch seconds)."""
        self._added += 1
        heapq.heappush(self._later, (seconds, self._added, life, happening))

    def after(self, seconds: float, happening: Happening, life: Life = WORLD) -> None:
        """Let it happen in so many seconds."""
        self.at(self._clock().timestamp() + seconds, happening, life)

    def run_now(self) -> bool:
        """Everything that is due; whether that was anything."""
        did_anything = False
        while self._now:
            life, happening = self._now.popleft()
            if not life.over:
                happening()
                did_anything = True
        return did_anything

    def forward(self, at_most: float) -> None:
        """Move the clock to what is due next, or to `at_most` (epoch seconds) if nothing is before."""
        now = min(self._later[0][0], at_most) if self._later else at_most
        self._clock.now = max(self._clock.now, datetime.fromtimestamp(now, UTC))
        while self._later and self._later[0][0] <= now:
            _, _, life, happening = heapq.heappop(self._later)
            self.add(life, partial(happening))
