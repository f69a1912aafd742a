"""Rate limits for one key: a sliding log of admissions. Pure, and as fast with a million admissions as with one.

The ingest stage keeps one log for each agent and subject, the budget stage one for each agent and the slots of each
limit of an action or a connection, and each act worker one for each limit that it calls under.
docs/decisions/0011-rate-grants.md says why it is no token bucket.

Clocks jump. A time in the future was written by a clock that was ahead: it counts as now, so it blocks others for at
most one period.
"""

from collections.abc import Iterable
from typing import NamedTuple

from sortedcontainers import SortedKeyList, SortedList

from nightdesk.processors.quantities import Rate

# Sums of periods differ by rounding.
_ROUNDING_S = 1.0


class Admission(NamedTuple):
    """An admission: its time in epoch seconds, and its cause, by which its owner knows it again."""

    at: float
    cause: str = ""


class AdmissionLog:
    """The admissions of one limit, in the order of their times. It may hold older ones than a period has."""

    def __init__(self, admissions: Iterable[Admission] = ()) -> None:
        # Not from an empty collection: that takes as long as a short one, and a new subject has none.
        self._admissions = SortedList(admissions or None)

    def __len__(self) -> int:
        return len(self._admissions)

    def add(self, admission: Admission) -> None:
        """Count an admission."""
        self._admissions.add(admission)

    def discard(self, admission: Admission) -> None:
        """Count an admission no more. One that was forgotten already is none."""
        self._admissions.discard(admission)

    def set_back(self, now: float) -> list[Admission]:
        """Let admissions in the future count as now. Returns those that changed, with their time of now."""
        ahead = []
        while self._admissions and self._admissions[-1].at > now:
            ahead.append(Admission(now, self._admissions.pop().cause))
        if ahead:
            self._admissions.update(ahead)
        return ahead

    def forget_over(self, rate: Rate, now: float) -> list[Admission]:
        """Forget what is older than a period, and return it."""
        forgotten = []
        # Summed in the same order as below, so that rounding never delays what is due now.
        while self._admissions and self._admissions[0].at + rate.per_seconds <= now:
            forgotten.append(self._admissions.pop(0))
        return forgotten

    def room_at(self, rate: Rate, now: float) -> float:
        """When one more may be admitted under the rate; `now` or earlier means at once. Call `set_back` before. What is
        older than a period is forgotten.
        """
        self.forget_over(rate, now)
        if len(self._admissions) < rate.count:
            return now
        return float(self._admissions[-rate.count].at + rate.per_seconds)


class Slot(NamedTuple):
    """A granted slot: for which purpose, its time, and the time of the request (epoch seconds). A slot may be in the
    future.
    """

    request_id: str
    at: float
    asked_at: float


class SlotLog:
    """The granted slots of one limit, in order. It may hold older ones than a period has."""

    def __init__(self, slots: Iterable[Slot] = ()) -> None:
        self._slots = SortedKeyList(slots, key=_at)

    def __len__(self) -> int:
        return len(self._slots)

    def next_at(self, rate: Rate, now: float) -> float:
        """The time of the next slot: after the earlier ones, and a whole period after the one `rate.count` before it.

        With the new one, no period has more than `rate.count` of the slots of that rate.
        """
        if self._slots and self._slots[-1].asked_at > now:  # the clock went back
            slots = slots_as_of(self._slots, now)
            self._slots.clear()
            self._slots.update(slots)
        believed = self._slots.bisect_key_right(self._furthest(rate, now))
        earliest = float(max(now, self._slots[believed - 1].at)) if believed else now
        if believed < rate.count:
            return earliest
        return float(max(earliest, self._slots[believed - rate.count].at + rate.per_seconds))

    def _furthest(self, rate: Rate, now: float) -> float:
        """How far ahead the rate can put the next slot behind so many. A slot beyond it was granted at another rate,
        and keeps nobody waiting until it is near.
        """
        ahead: int = len(self._slots) - self._slots.bisect_key_right(now)
        return now + (ahead // rate.count + 1) * rate.per_seconds + _ROUNDING_S

    def add(self, slot: Slot) -> None:
        """Grant a slot."""
        self._slots.add(slot)

    def forget_until(self, at: float) -> None:
        """Forget the slots up to a time, because no current period includes them."""
        while self._slots and self._slots[0].at <= at:
            del self._slots[0]


def _at(slot: Slot) -> float:
    return slot.at


def slots_as_of(slots: Iterable[Slot], now: float) -> list[Slot]:
    """The slots in order, without the delay that a clock ahead of time added to them."""
    return sorted((_slot_as_of(slot, now) for slot in slots), key=_at)


def _slot_as_of(slot: Slot, now: float) -> Slot:
    ahead = slot.asked_at - now
    return slot if ahead <= 0 else slot._replace(at=slot.at - ahead, asked_at=now)
