"""Says whether the wall clock may delete what has expired: only while it agrees with the broker's.

Facts are kept for days, and their deletion cannot be taken back. A clock that is ahead by more than that, for one
moment, would delete what the process knows: the events that it has seen, the calls that it has made. So each comparison
with the broker (`worker_reports.py`) notes how far the wall clock should be ahead of the steady one. While it is
further ahead, or less far, nothing expires. Nothing is lost by that: an expired entry only stays for longer.
"""

import time
from collections.abc import Callable

from nightdesk.streams.runtime.process.boottime import boottime_s

# More than a delivery takes, and less than anything is kept.
AGREES_WITHIN_S = 60.0


class ConfirmedClock:
    """The wall clock of one process, compared with the broker's."""

    def __init__(self, wall_s: Callable[[], float] = time.time, steady_s: Callable[[], float] = boottime_s) -> None:
        self._wall_s = wall_s
        self._steady_s = steady_s
        self._right_lead_s: float | None = None

    def lead_s(self) -> float:
        """How far the wall clock is ahead of the steady one."""
        return self._wall_s() - self._steady_s()

    def compared(self, lead_s: float, broker_ahead_s: float) -> None:
        """When the wall clock had that lead, the broker's clock was so far ahead of it."""
        self._right_lead_s = lead_s + broker_ahead_s

    def may_expire(self) -> bool:
        """Whether entries may expire. Without any comparison the clock is believed: a broker may stamp no reports."""
        return self._right_lead_s is None or abs(self.lead_s() - self._right_lead_s) <= AGREES_WITHIN_S
