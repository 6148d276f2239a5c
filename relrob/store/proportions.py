"""Shares of images and their Wilson intervals."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

_Z: Final = NormalDist().inv_cdf(0.975)


def wilson(k: int, n: int) -> tuple[float, float]:
    """The Wilson score interval, 95 %, of k successes in n > 0 trials (Wilson 1927).

    >>> low, high = wilson(59, 60)
    >>> print(f"{low:.3f} {high:.3f}")
    0.911 0.997
    """
    if not 0 <= k <= n or n < 1:
        raise ValueError(f"{k} of {n} is not a proportion")
    centre = (k + _Z * _Z / 2) / (n + _Z * _Z)
    half = _Z * math.sqrt(k * (n - k) / n + _Z * _Z / 4) / (n + _Z * _Z)
    return (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)


def interval(k: int, n: int) -> list[float] | None:
    """`wilson` rounded to 6 digits, for JSON; None when n is 0."""
    return [round(end, 6) for end in wilson(k, n)] if n else None


def ratio(k: int, n: int) -> float | None:
    """k / n rounded to 6 digits; None when n is 0."""
    return round(k / n, 6) if n else None
