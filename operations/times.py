"""Parses times that people write. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nightdesk.messaging.failures import Failure, FailureKind
from nightdesk.processors.charter.quantities import parse_duration


def moment(text: str, now: datetime) -> datetime | None:
    """ISO 8601 (UTC unless it names another zone), or how long ago, as in `2h`; None for an empty text.

    Raises `Failure`.
    """
    if not text:
        return None
    try:
        return now - timedelta(seconds=parse_duration(text))
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Failure(
            f"{text!r} is no time", "Write 2026-11-23T08:00, or 2h for two hours ago", FailureKind.INVALID
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
