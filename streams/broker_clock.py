"""Compares this machine's clock with the broker's, by the time that the broker gives to a report of ours."""

from datetime import datetime
from typing import NamedTuple

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message


class BrokerClock(NamedTuple):
    """How far the broker's clock is ahead of ours, and half of the time between which the broker's was read."""

    ahead_ms: float
    uncertain_ms: float

    @property
    def differs_ms(self) -> float:
        """By how much the clocks differ at least."""
        return max(0.0, abs(self.ahead_ms) - self.uncertain_ms)

    def our_clock(self) -> str:
        """Our clock beside the broker's, as text."""
        side = "behind" if self.ahead_ms > 0 else "ahead of"
        return f"this machine's clock is {abs(self.ahead_ms) / 1000:.1f} s {side} the broker's"


def compared(said_at: datetime, delivered: Message) -> BrokerClock | None:
    """The comparison by a report that was sent at that time: the broker's timestamp is between its sending and its
    delivery. None if the broker stamps no reports.
    """
    kind, stamp_ms = delivered.timestamp()
    latency_s = delivered.latency()
    if kind != TIMESTAMP_LOG_APPEND_TIME or latency_s is None:
        return None
    uncertain_ms = latency_s * 500
    return BrokerClock(stamp_ms - (said_at.timestamp() * 1000 + uncertain_ms), uncertain_ms)
