"""Parses times that people write. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.processors.quantities import parse_duration

# ClickHouse's times begin in 1900, and a conversion between time zones is possible in all of these years.
FIRST_YEAR, LAST_YEAR = 1900, 2200


def moment(text: str, now: datetime) -> datetime | None:
    """ISO 8601 (UTC unless it names another zone), or how long ago, as in `2h`; None for an empty text.

    Raises `Failure`.
    """
    if not text:
        return None
    try:
        return in_range(now - timedelta(seconds=parse_duration(text)))
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(
            f"{text[:40]!r} is no time", "Write 2026-11-23T08:00, or 2h for two hours ago", FailureKind.INVALID
        ) from None
    return in_range(found if found.tzinfo else found.replace(tzinfo=UTC))


def in_range(found: datetime) -> datetime:
    """The time, if the audit can have records of it. Raises `Failure`."""
    if FIRST_YEAR <= found.year <= LAST_YEAR:
        return found
    raise Failure(
        f"{found.isoformat()} is in no year from {FIRST_YEAR} to {LAST_YEAR}", "Write another time", FailureKind.INVALID
    )
