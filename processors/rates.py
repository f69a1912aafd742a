"""So many in so long, for one key: a sliding log of what was admitted. Pure.

The ingest stage keeps one `Window` for each agent and subject; the budget stage derives one for each agent, and the
slots of each limit of an action or a connection. Admissions are facts by id, so the same cause applied twice is
admitted once. docs/decisions/0011 says why it is no token bucket.
"""

from collections.abc import Sequence
from typing import NamedTuple

from processors.charter.quantities import Rate


class Admission(NamedTuple):
    """Something that was let through: what caused it, and when (epoch seconds)."""

    cause: str
    at: float


Window = tuple[Admission, ...]


class Admitted(NamedTuple):
    """The verdict and the window after it. `retry_at` (epoch seconds) is when there will be room; 0 when admitted."""

    ok: bool
    window: Window
    retry_at: float = 0.0


def admit(window: Window, rate: Rate, cause: str, now: float) -> Admitted:
    """Let `cause` through if fewer than `rate.count` were in the last `rate.per_seconds`. O(count)."""
    if any(admission.cause == cause for admission in window):
        return Admitted(True, window)
    current = tuple(admission for admission in window if admission.at + rate.per_seconds > now)
    if len(current) >= rate.count:
        return Admitted(False, current, current[-rate.count].at + rate.per_seconds)
    return Admitted(True, (*current, Admission(cause, now)))


def next_slot(slots: Sequence[float], rate: Rate, now: float) -> float:
    """When the next may be: after those before it, and a whole period after the one `rate.count` before it. O(1).

    `slots` are all that were given and can matter, in order. With the new one, no period has more than `rate.count`.
    """
    earliest = max(now, slots[-1]) if slots else now
    if len(slots) < rate.count:
        return earliest
    return max(earliest, slots[-rate.count] + rate.per_seconds)
