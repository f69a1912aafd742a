"""Ends a process whose wall clock is set back, because the Kafka client waits by that clock.

librdkafka waits until a time of the wall clock. If the clock is set back during a wait, the wait ends only when the
clock reaches that time again, whatever its timeout. The client's own threads wait like that all the time, so consumers,
producers and all requests to the broker hang. Nothing ends such a wait except a new process with a new client.

Python's own waits use the monotonic clock, so this watch works meanwhile. It compares the wall clock with one that
counts a suspended machine too. Both follow the same corrections of their speed, so they differ only by steps.
"""

import threading
import time
from collections.abc import Callable

from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

# Short, because a wait can begin while the clock is ahead for only a moment.
LOOK_S = 0.25
# The session and all our timeouts tolerate a shorter delay.
SET_BACK_S = 30.0
# Longer than any wait of the client, so a step before that cannot delay a wait that still runs.
REMEMBERED_S = 600.0
# If the process was stopped between reading the two clocks, it reads them again.
READ_WITHIN_S = 0.5


class ClockSteps:
    """How far the wall clock was set back, in one step or several. Pure.

    It remembers the greatest difference between the wall clock and the steady one, for one to two periods of
    `REMEMBERED_S`.
    """

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._greatest_before = self._greatest = 0.0

    def see(self, wall_s: float, steady_s: float) -> float:
        """Take a reading of both clocks. Returns by how many seconds the wall clock was set back."""
        lead_s = wall_s - steady_s
        if self._since_s is None:
            self._since_s, self._greatest_before, self._greatest = steady_s, lead_s, lead_s
        elif steady_s - self._since_s >= REMEMBERED_S:
            self._since_s, self._greatest_before, self._greatest = steady_s, self._greatest, lead_s
        self._greatest = max(self._greatest, lead_s)
        return max(self._greatest_before, self._greatest) - lead_s


class ClockWatch:
    """Watches in a thread of its own, for the life of a process that has Kafka clients."""

    def __init__(self, wall_s: Callable[[], float] = time.time, steady_s: Callable[[], float] = boottime_s) -> None:
        self._wall_s = wall_s
        self._steady_s = steady_s
        self._steps = ClockSteps()

    def start(self) -> None:
        """Take a first reading, before any client waits, and then one every `LOOK_S`."""
        self.look()
        threading.Thread(target=self._watch, name="clock-watch", daemon=True).start()

    def look(self) -> None:
        """Exits the process if the clock was set back."""
        set_back_s = self._steps.see(*self._read())
        if set_back_s >= SET_BACK_S:
            fail_stop(
                ExitCode.CLOCK_SET_BACK,
                f"the wall clock was set back by {set_back_s:.0f} s: the Kafka client waits by it, and would stand"
                " still for as long",
            )

    def _watch(self) -> None:
        pause = threading.Event()
        while not pause.wait(LOOK_S):
            self.look()

    def _read(self) -> tuple[float, float]:
        """Read both clocks at the same moment."""
        while True:
            steady_s, wall_s = self._steady_s(), self._wall_s()
            if self._steady_s() - steady_s < READ_WITHIN_S:
                return wall_s, steady_s
