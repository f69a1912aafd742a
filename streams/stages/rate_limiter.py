"""Spaces the calls of one worker under a rate limit.

The single writer of a limit (`rate_limits.py`) decides when a call may be made, and answers with a grant. If many
grants come at once, after the stage stood still, a worker makes at most twice the limit's calls in one period. It
cannot be exact, because some grants are always a moment late.
"""

from nightdesk.processors import backoff, rates
from nightdesk.processors.execution import RateGrant
from nightdesk.processors.execution.events import SlotRefused, SlotTaken
from nightdesk.processors.execution.types import RateUse


class RateLimiter:
    """The recent calls of this worker, by limit."""

    def __init__(self) -> None:
        self._made: dict[str, rates.Window] = {}

    def take(self, use: RateUse, grant: RateGrant, now: float) -> SlotTaken | SlotRefused:
        """Count a call at `now` (epoch seconds). The same grant again takes no second slot."""
        cause = f"{use.purpose}:{grant.number}"
        at_most = use.rate.model_copy(update={"count": 2 * use.rate.count})
        admitted = rates.admit(self._made.get(use.limit, ()), at_most, cause, now)
        self._made[use.limit] = admitted.window
        if admitted.ok:
            return SlotTaken()
        return SlotRefused(admitted.retry_at - now + use.rate.per_seconds * backoff.spread(cause))
