"""The clock for silence and age: it continues while the machine is suspended.

`time.monotonic()` stops in a suspended machine, and a process that wakes would take hour-old knowledge for recent.
"""

import time

# macOS has no CLOCK_BOOTTIME; its CLOCK_MONOTONIC counts suspended time too.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime_s() -> float:
    """Seconds since some fixed point, including suspended time."""
    return time.clock_gettime(_CLOCK)
