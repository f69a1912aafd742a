"""How long ago this process had proof that it had read every order on `control`.

A worker that cannot read `control` does not notice it: an order to stop looks the same as no order. So before each call
it checks here, and waits until the control subscriber (`control_subscriber.py`) has confirmed the end of the topic
again. See docs/decisions/0015-orders-are-confirmed.md.
"""

import asyncio
import logging
import math
from collections.abc import Callable

from nightdesk.streams.metrics import CALLS_WAITING_FOR_ORDERS
from nightdesk.streams.runtime.process.boottime import boottime_s

log = logging.getLogger(__name__)

# How often a waiting call checks again.
POLL_S = 0.2


class Confirmation:
    """Written by the subscriber's thread, read by the loop. `within_s`: an older confirmation does not count."""

    def __init__(self, within_s: float, clock: Callable[[], float] = boottime_s) -> None:
        self.within_s = within_s
        self._clock = clock
        self._at_s = -math.inf
        self._waiting = 0

    @property
    def age_s(self) -> float:
        """Seconds since the request of the last confirmation was sent; infinite before the first."""
        return self._clock() - self._at_s

    def is_fresh(self) -> bool:
        """Whether a call may start now."""
        return self.age_s <= self.within_s

    def confirm(self, asked_at_s: float) -> None:
        """All orders up to the end of `control` at `asked_at_s` (on `boottime_s`'s clock) were read."""
        self._at_s = max(self._at_s, asked_at_s)

    async def wait(self) -> None:
        """Returns when the confirmation is fresh, possibly at once."""
        if self.is_fresh():
            return
        if not self._waiting:
            log.warning("no call is made: orders were last confirmed %.1f s ago", self.age_s)
        self._count(+1)
        try:
            while not self.is_fresh():  # noqa: ASYNC110 - it is a thread that confirms, and it also grows old by itself
                await asyncio.sleep(POLL_S)
        finally:
            self._count(-1)
        if not self._waiting:
            log.warning("orders are confirmed again: calls continue")

    def _count(self, change: int) -> None:
        self._waiting += change
        CALLS_WAITING_FOR_ORDERS.set(self._waiting)


def not_demanded() -> Confirmation:
    """For a process that reads the orders once and makes no calls: every age is fresh enough."""
    return Confirmation(math.inf)
