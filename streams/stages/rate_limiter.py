"""Spaces the calls of one worker under a rate limit.

The single writer of a limit (`rate_limits.py`) decides when a call may be made, and answers with a grant. If many
grants come at once, after the stage stood still, a worker makes at most twice the limit's calls in one period. It
cannot be exact, because some grants are always a moment late.
"""

from nightdesk.processors import backoff
from nightdesk.processors.execution import RateGrant
from nightdesk.processors.execution.events import SlotRefused, SlotTaken
from nightdesk.processors.execution.types import RateUse
from nightdesk.processors.quantities import Rate
from nightdesk.processors.rates import Admission, AdmissionLog


class RateLimiter:
    """The recent calls of this worker, by limit."""

    def __init__(self) -> None:
        self._made: dict[str, _Calls] = {}

    def take(self, use: RateUse, grant: RateGrant, now: float) -> SlotTaken | SlotRefused:
        """Count a call at `now` (epoch seconds). The same grant again takes no second slot."""
        cause = f"{use.purpose}:{grant.number}"
        at_most = use.rate.model_copy(update={"count": 2 * use.rate.count})
        retry_at = self._made.setdefault(use.limit, _Calls()).take(at_most, cause, now)
        if retry_at <= now:
            return SlotTaken()
        return SlotRefused(retry_at - now + use.rate.per_seconds * backoff.spread(cause))


class _Calls:
    """The calls under one limit, and for which grants they were made."""

    def __init__(self) -> None:
        self._log = AdmissionLog()
        self._causes: set[str] = set()

    def take(self, rate: Rate, cause: str, now: float) -> float:
        """Count a call if there is room. Returns when there is; `now` or earlier means at once."""
        self._log.set_back(now)
        if cause in self._causes:
            return now
        self._causes.difference_update(call.cause for call in self._log.forget_over(rate, now))
        retry_at = self._log.room_at(rate, now)
        if retry_at <= now:
            self._log.add(Admission(now, cause))
            self._causes.add(cause)
        return retry_at
