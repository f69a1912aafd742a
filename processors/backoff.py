"""How long to wait before something is tried again. Pure.

Asked by the act stage. The jitter is derived from what is tried, so that many that failed together do not come back
together, and the same retry is due at the same time however often it is worked out.
"""

from hashlib import blake2b

LONGEST_S = (5, 30, 120, 600, 1800)


def delay_s(cause: str, attempt: int) -> float:
    """After the attempt, counted from 1: between half of its longest wait and all of it."""
    return LONGEST_S[min(attempt, len(LONGEST_S)) - 1] * (1 + spread(cause)) / 2


def spread(cause: str) -> float:
    """A number from 0 up to 1 that belongs to the cause."""
    return int.from_bytes(blake2b(cause.encode(), digest_size=6).digest()) / 2**48
