"""Decides whether a case has become too old for its decision. Pure.

A decision may wait for long: for an order, a system, a limit, a person. An answer that was right on Friday evening can
be wrong on Monday, so a case that is older than its charter's `bounds.stale_after` is not acted on as if it were fresh.
"""

from datetime import datetime

from nightdesk.processors.charter.allowances import Bounds


def stale_because(bounds: Bounds, since: datetime, now: datetime) -> str:
    """Why the case is stale at `now`; empty if it is not. `since` is when it came, or when a person last
    looked at it.
    """
    age_s = int((now - since).total_seconds())
    if age_s < bounds.stale_after:
        return ""
    return f"bounds.stale_after: the case is {_hours(age_s)} old, and {_hours(bounds.stale_after)} is the limit"


def _hours(seconds: int) -> str:
    return f"{seconds / 3600:.3g} h"
