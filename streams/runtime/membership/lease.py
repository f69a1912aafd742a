"""How long this process may act on its partitions: until three quarters of a session after the last heartbeat that the
group coordinator acknowledged.

The broker reassigns partitions no sooner than a full session after it received a heartbeat, which is not before it was
sent. So the lease counts from the sending of the request, and ends before another process can start. `check` is called
between a durable intent and the call: a lease that is valid after the intent is durable proves that the next owner
reads the intent. `coordinator.py` renews it, from the thread that talks to the coordinator.
"""

from collections.abc import Callable
from math import inf

from nightdesk.streams.runtime.process.boottime import boottime_s
from nightdesk.streams.runtime.process.fail_stop import ExitCode, fail_stop

SHARE = 0.75


class Lease:
    """The lease of one process. It is not held before the first acknowledgement."""

    def __init__(self, session_s: float, rebalance_s: float, clock: Callable[[], float] = boottime_s) -> None:
        self._session_s = session_s
        self._rebalance_s = rebalance_s
        self._clock = clock
        self._acknowledged_at = -inf
        self._until = -inf

    @property
    def held(self) -> bool:
        """Whether no other process can own our partitions now."""
        return self._clock() < self._until

    def renew(self, sent_at: float) -> None:
        """Renew the lease, because a request that was sent then was acknowledged: the member is known and its
        assignment is valid.
        """
        self._acknowledged_at = max(self._acknowledged_at, sent_at)
        self._until = max(self._until, sent_at + SHARE * self._session_s)

    def renew_in_rebalance(self, sent_at: float) -> None:
        """The response was that the group rebalances: nobody gets our partitions before we join again, or before the
        rebalance timeout is over, which started at the earliest with the last ordinary acknowledgement.
        """
        latest = self._acknowledged_at + SHARE * self._rebalance_s
        self._until = max(self._until, min(sent_at + SHARE * self._session_s, latest))

    def end(self) -> None:
        """Give the partitions back: from now on another process may own them."""
        self._acknowledged_at = self._until = -inf

    def check(self) -> None:
        """Exits the process unless the lease is held."""
        if self.held:
            return
        silent_s = self._clock() - self._acknowledged_at
        fail_stop(
            ExitCode.OWNERSHIP_LOST,
            f"the group coordinator acknowledged no heartbeat for {silent_s:.1f} s (session: {self._session_s:.0f} s):"
            " another process may own our partitions, or this one was suspended. Restart it; if that"
            " repeats, check the network between this process and the broker",
        )
