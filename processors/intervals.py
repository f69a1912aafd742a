"""Lower confidence bounds of a share and of a mean: what a few observations can prove. Pure.

A bound is exceeded when even the lower confidence bound is above it. So few observations count if they are clear
enough, and many borderline ones do not add up to an alarm.
"""

from math import sqrt

# Standard deviations: one-sided 99.9 %. The bound is looked at after every case, so it has to be strict.
Z = 3.0


def lowest_share(bad: int, of: int) -> float:
    """The lower end of the Wilson score interval of a share; `of` is at least 1."""
    share, z2 = bad / of, Z * Z
    centre = share + z2 / (2 * of)
    spread = Z * sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max((centre - spread) / (1 + z2 / of), 0.0) if bad else 0.0


def lowest_mean(total: float, total_of_squares: float, of: int) -> float:
    """The lower confidence bound of a mean, from the sum of the values and of their squares; `of` is at least 1."""
    mean = total / of
    if of == 1:
        return mean
    variance = max(total_of_squares - of * mean * mean, 0.0) / (of - 1)
    return mean - Z * sqrt(variance / of)
