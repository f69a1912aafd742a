"""How long to wait before a retry. Pure.

The jitter is derived from what is retried. So calls that failed together do not come back together, and the same retry
is due at the same time however often it is computed.
"""

from hashlib import blake2b

LONGEST_S = (5, 30, 120, 600, 1800)


def delay_s(cause: str, attempt: int) -> float:
    """Seconds to wait after `attempt`, which counts from 1: between half of the attempt's longest
    wait and all of it.
    """
    return LONGEST_S[min(attempt, len(LONGEST_S)) - 1] * (1 + spread(cause)) / 2


def spread(cause: str) -> float:
    """A number in [0, 1) derived from the cause."""
    return int.from_bytes(blake2b(cause.encode(), digest_size=6).digest()) / 2**48
