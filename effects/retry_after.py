"""Reads `Retry-After`, with a bound, for all our clients."""

import math

# A longer wait is cut to this, because no other system may decide how long our circuits and steps wait.
AT_MOST_S = 3_600.0


def retry_after_seconds(header: str | None) -> float | None:
    """The seconds of a `Retry-After` from 0 to an hour; None if it is no number: missing, a date, infinite.

    The date form is not supported, because it needs a clock that agrees with the other side's.
    """
    if header is None or not header.isascii() or "_" in header:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return None
    return min(seconds, AT_MOST_S) if math.isfinite(seconds) and seconds >= 0 else None
