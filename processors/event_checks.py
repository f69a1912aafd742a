"""Checks an event's attributes before the pipeline accepts it. Pure.

The rules are those of CloudEvents 1.0: identifying attributes are not empty and have no control characters and no
noncharacters. Otherwise one identity could look like two, or two like one, in a terminal, a log or another program.
`time` is when the event happened; an impossible time is a mistake in the producer's unit or clock.
"""

import re
from datetime import UTC, datetime, timedelta

from nightdesk.schemas.records import Event

# Its further records contain it, with what became of it, and a topic accepts 4 MB.
DATA_BYTES_AT_MOST = 1_000_000
ATTRIBUTES = ("id", "source", "type", "subject")
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
AHEAD_AT_MOST = timedelta(days=366)
# A time between these is ordinary: clocks differ, and other systems' queues delay events.
AHEAD_UNREMARKED = timedelta(hours=1)
LATE_UNREMARKED = timedelta(days=3)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLANES = "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))
_DISALLOWED = re.compile(f"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef{_PLANES}]")
# The unit that was sent -> how many microseconds one of it has.
_UNITS = {"seconds": 1_000_000.0, "milliseconds": 1_000.0, "nanoseconds": 0.001}


def problem_with(event: Event, now: datetime) -> str | None:
    """Why the event cannot be accepted, and how to fix it; None if it can."""
    if len(event.data) > DATA_BYTES_AT_MOST // 4:  # at most four bytes each
        size = len(event.data.encode())
        if size > DATA_BYTES_AT_MOST:
            return f"data has {size} bytes: an event may have at most {DATA_BYTES_AT_MOST}"
    return _problem_with_attributes(event) or _problem_with_time(event.time, now)


def _problem_with_attributes(event: Event) -> str | None:
    for name in ATTRIBUTES:
        text: str = getattr(event, name)
        if not text.strip():
            return f"{name} is empty: every event needs id, source, type and subject"
        if text.isascii() and text.isprintable():  # nearly all are, and that is known at once
            continue
        found = _DISALLOWED.search(text)
        if found is not None:
            return (
                f"{name} has U+{ord(found[0]):04X} at character {found.start() + 1}:"
                " CloudEvents allows no control characters and no noncharacters there"
            )
    return None


def unusual_time(event: Event, now: datetime) -> str:
    """What a person should know about the time of an event that is accepted; empty for an ordinary one.

    A clock may be wrong, or a backlog may be sent; whether that matters is for the charter's `when` to say.
    """
    late, ahead = now - event.time, event.time - now
    if ahead > AHEAD_UNREMARKED:
        return f"the event says that it happens in {_hours(ahead)}: the producer's clock may be wrong"
    if late > LATE_UNREMARKED:
        return f"the event says that it happened {_hours(late)} before it came"
    return ""


def _hours(time: timedelta) -> str:
    hours = int(time.total_seconds() // 3600)
    return f"{hours} hours" if hours < 72 else f"{hours // 24} days"


def _problem_with_time(time: datetime, now: datetime) -> str | None:
    if time.tzinfo is None:
        return f"time {time.isoformat()} has no time zone: send UTC, as timestamp-micros"
    if EARLIEST <= time <= now + AHEAD_AT_MOST:
        return None
    where = "before 2000" if time < EARLIEST else f"more than {AHEAD_AT_MOST.days} days ahead"
    return f"time is {time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, which is {where}: {_mistake(time, now)}"


def _mistake(time: datetime, now: datetime) -> str:
    given = (time - _EPOCH) / timedelta(microseconds=1)
    for unit, microseconds in _UNITS.items():
        meant_s = given * microseconds / 1_000_000
        if EARLIEST.timestamp() <= meant_s <= (now + AHEAD_AT_MOST).timestamp():
            return f"{unit} were sent instead of microseconds since 1970"
    return "send the time of the event, in microseconds since 1970 UTC"
