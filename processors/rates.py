"""Rate limits for one key: a sliding log of admissions. Pure.

The ingest stage keeps one `Window` for each agent and subject. The budget stage derives one for each agent, and the
slots of each limit of an action or a connection. Admissions are facts by id, so the same cause is admitted once.
docs/decisions/0011-rate-grants.md says why it is no token bucket.

Clocks jump. A time in the future was written by a clock that was ahead: it counts as now, so it blocks others for at
most one period.
"""

from collections.abc import Sequence
from typing import NamedTuple

from nightdesk.processors.charter.quantities import Rate


class Admission(NamedTuple):
    """An admission: its cause, and its time in epoch seconds."""

    cause: str
    at: float


Window = tuple[Admission, ...]


class Slot(NamedTuple):
    """A granted slot: for which purpose, its time, and the time of the request (epoch seconds). A slot may be in the
    future.
    """

    request_id: str
    at: float
    asked_at: float


class Admitted(NamedTuple):
    """The result and the window after it. `retry_at` (epoch seconds) is when there will be room; 0 if admitted."""

    ok: bool
    window: Window
    retry_at: float = 0.0


def admit(window: Window, rate: Rate, cause: str, now: float) -> Admitted:
    """Admit `cause` if fewer than `rate.count` were admitted in the last `rate.per_seconds`. O(count).

    Returns the same window object if it does not change.
    """
    window = _as_of(window, now)
    if any(admission.cause == cause for admission in window):
        return Admitted(True, window)
    current = tuple(admission for admission in window if admission.at + rate.per_seconds > now)
    if len(current) >= rate.count:
        return Admitted(False, window, current[-rate.count].at + rate.per_seconds)
    return Admitted(True, (*current, Admission(cause, now)))


def _as_of(window: Window, now: float) -> Window:
    if all(admission.at <= now for admission in window):
        return window
    return tuple(Admission(admission.cause, min(admission.at, now)) for admission in window)


def slots_as_of(slots: Sequence[Slot], now: float) -> list[Slot]:
    """The slots in order, without the delay that a clock ahead of time added to them."""
    return sorted((_slot_as_of(slot, now) for slot in slots), key=lambda slot: slot.at)


def _slot_as_of(slot: Slot, now: float) -> Slot:
    ahead = slot.asked_at - now
    return slot if ahead <= 0 else slot._replace(at=slot.at - ahead, asked_at=now)


def next_slot(slots: Sequence[float], rate: Rate, now: float) -> float:
    """The time of the next slot: after the earlier ones, and a whole period after the one `rate.count` before it. O(1).

    `slots` are all granted slots that can matter, in order. With the new one, no period has more than `rate.count`.
    """
    earliest = max(now, slots[-1]) if slots else now
    if len(slots) < rate.count:
        return earliest
    return max(earliest, slots[-rate.count] + rate.per_seconds)
