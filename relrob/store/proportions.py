"""Shares of images where some images are undecided: their least and greatest value, and their
Wilson intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

_Z: Final = NormalDist().inv_cdf(0.975)
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Proportion:
    """The share k / n of a whole of n images that k of them make up, some of them undecided.

    `part`: images in the part; `rest`: in the whole, not in the part. Undecided are the others:
    `open` are in the whole, in the part or not; `part_if` are in the part if in the whole at all,
    `rest_if` in the whole without the part if at all; `free` may be any of the three.

    A decision adds (1, 1), (0, 1) or nothing to (k, n). As k <= n, (1, 1) never lowers k / n and
    (0, 1) never raises it. So over all decisions that leave n > 0

        least     part / (part + rest + open + rest_if + free),
        greatest  (part + open + part_if + free) / (part + rest + open + part_if + free).

    Where the first n is 0, every decision with n > 0 gives 1 (`part_if` alone is left); where the
    second is 0, every such decision gives 0. Both ends of the Wilson interval move with (1, 1) and
    (0, 1) in the same directions (docs/regions.md), so the lower end of the first and the upper end
    of the second enclose the interval of every decision.

    >>> Proportion(part=11, rest=0, open=8).bounds
    (0.578947, 1.0)
    >>> Proportion(part=5, rest_if=2).bounds
    (0.714286, 1.0)
    """

    part: int = 0
    rest: int = 0
    open: int = 0
    part_if: int = 0
    rest_if: int = 0
    free: int = 0

    def __post_init__(self) -> None:
        if min(vars(self).values()) < 0:
            raise ValueError(f"{self} is not a proportion")

    @property
    def undecided(self) -> int:
        """Images that can change the share."""
        return self.open + self.part_if + self.rest_if + self.free

    @property
    def whole(self) -> int:
        """Images that are surely in the whole."""
        return self.part + self.rest + self.open

    @property
    def worst(self) -> tuple[int, int] | None:
        """(k, n) of the least share; None where no decision gives an image to the whole."""
        whole = self.whole + self.rest_if + self.free
        least = (self.part, whole) if whole else (1, 1)
        return least if whole or self.part_if else None

    @property
    def best(self) -> tuple[int, int] | None:
        """(k, n) of the greatest share; None where no decision gives an image to the whole."""
        whole = self.whole + self.part_if + self.free
        greatest = (self.part + self.open + self.part_if + self.free, whole) if whole else (0, 1)
        return greatest if whole or self.rest_if else None

    @property
    def value(self) -> float | None:
        """k / n rounded to 6 digits; None where n is 0 or an image is undecided."""
        return None if self.undecided else ratio(self.part, self.whole)

    @property
    def bounds(self) -> Bounds | None:
        """The least and the greatest share, rounded to 6 digits; None where there is none."""
        ends = self._ends
        return None if ends is None else (round(ends[0], 6), round(ends[1], 6))

    @property
    def percents(self) -> Bounds | None:
        """The same in percent, not rounded."""
        ends = self._ends
        return None if ends is None else (100 * ends[0], 100 * ends[1])

    @property
    def _ends(self) -> Bounds | None:
        worst, best = self.worst, self.best
        return None if worst is None or best is None else (_share(*worst), _share(*best))

    @property
    def interval(self) -> Bounds | None:
        """Wilson's interval, 95 %: the lower end of the least share, the upper end of the
        greatest; None where there is none."""
        worst, best = self.worst, self.best
        return None if worst is None or best is None else (wilson(*worst)[0], wilson(*best)[1])


def wilson(k: int, n: int) -> Bounds:
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


def ratio(k: int, n: int) -> float | None:
    """k / n rounded to 6 digits; None when n is 0."""
    return round(k / n, 6) if n else None


def pair(ends: Bounds | None) -> list[float] | None:
    """Two ends as JSON has them, rounded to 6 digits."""
    return None if ends is None else [round(end, 6) for end in ends]


def _share(k: int, n: int) -> float:
    return k / n
