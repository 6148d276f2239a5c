"""Regions of one kind around one image, each inside the next: the radii that a search for a
certified radius tells apart, and the exact distance of a witness.

The images of a smaller radius are images of every larger one, exactly: membership compares
fractions (`relrob.regions.ball`, `relrob.regions.ladder`), and the same features or pixels may move
at every radius. So a proof holds for smaller radii too, and a witness for larger ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, nextafter, sqrt
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Ints, Proposal
from relrob.domain.region import Ball, Ladder, Norm
from relrob.domain.verdict import Witness
from relrob.errors import RegionError
from relrob.regions.ladder import RungSet
from relrob.regions.points import Points, points_of

# The most costs of a ladder, and steps of a ball.
_MOST: Final = 1 << 20
# Of a ball whose user names none: a tenth of an 8-bit level, and about as much of the other norms.
_PRECISION: Final = {
    Norm.LINF: Fraction(1, 2550),
    Norm.L2: Fraction(1, 100),
    Norm.L1: Fraction(1, 10),
}


@final
@dataclass(frozen=True, eq=False)
class Nest:
    """The regions around an image (any shape, uint8 levels or float32 in [0,1]), by number.

    `largest`: the region of the largest radius. Number 0 is the image alone. Of a ball, number k
    has the radius k times `unit`. Of a ladder, whose radii matter only where a point is added, it
    has the k-th of the `costs` of its points in units of `unit`, ascending from 0.
    """

    largest: Ball | Ladder
    image: NDArray[Any]
    unit: Fraction
    top: int
    costs: Ints | None = None

    def radius(self, number: int) -> Fraction:
        """The exact radius of a region."""
        return (number if self.costs is None else int(self.costs[number])) * self.unit

    def points(self, number: int) -> Points:
        """The points of a region, from number 1 on; of `largest` for its own number."""
        radius = self.largest.radius if number >= self.top else self.radius(number)
        return points_of(replace(self.largest, radius=radius), self.image)

    def number(self, distance: Fraction) -> int:
        """The smallest region that holds a point so far from the image; `top` + 1 where none
        does."""
        if self.costs is None:
            return min(-(-distance // self.unit), self.top + 1)
        return int(np.searchsorted(self.costs, int(distance / self.unit)))

    def distance(self, base: Floats, witness: Witness) -> Fraction:
        """From the image, as it is fed, to a witness, in the region's own terms: the exact cost of
        a ladder's point, the exact norm in L1 and L-infinity; in L2 the float64 at or above the
        root of the exact square."""
        if isinstance(self.largest, Ladder):
            return witness.cost
        changed = np.flatnonzero(witness.image != base)
        moves = [
            abs(Fraction(float(witness.image[at])) - Fraction(float(base[at]))) for at in changed
        ]
        if self.largest.norm is Norm.L1:
            return sum(moves, Fraction(0))
        if self.largest.norm is Norm.L2:
            return root_above(sum((move * move for move in moves), Fraction(0)))
        return max(moves, default=Fraction(0))


def proposal(points: Points, witness: Floats, moved: Sequence[int]) -> Proposal:
    """A witness as a point that may be proposed: the mask (F,) of a ladder, the image (d,) of a
    ball."""
    if not isinstance(points, RungSet):
        return witness
    mask = np.zeros(points.features, np.bool_)
    mask[list(moved)] = True
    return mask


def placed(points: Points, image: Floats) -> Proposal | None:
    """The point of the region that an image (d,) is, or that it is rounded to, as it may be
    proposed; None where it is outside."""
    point = points.near(image)
    if point is None or not isinstance(points, RungSet):
        return point
    shown = (point[points.axes] == points.moved).all(axis=1)
    mask: Proposal = shown & (points.moved != points.base[points.axes]).any(axis=1)
    return mask


def root_above(square: Fraction) -> Fraction:
    """The smallest float64 whose square is at least `square`, exactly compared.

    >>> root_above(Fraction(9, 4)), root_above(Fraction(2)) ** 2 > 2
    (Fraction(3, 2), True)
    """
    root = sqrt(float(square))
    while Fraction(root) ** 2 < square:
        root = nextafter(root, inf)
    while root > 0 and Fraction(nextafter(root, 0.0)) ** 2 >= square:
        root = nextafter(root, 0.0)
    return Fraction(root)


def farthest(kind: str, inputs: int, features: int | None, axes: int, step: Fraction) -> Fraction:
    """The radius of a region of that kind that holds whatever the kind can hold around an image of
    n = `inputs` pixels: all of [0,1]^n, or all sets of features."""
    if kind == "ladder":
        count = inputs // axes if features is None else features
        return max(count, 1) * axes * step
    if kind == Norm.L2:
        root = round(inputs**0.5)
        return Fraction(root if root * root >= inputs else root + 1)
    return Fraction(1 if kind == Norm.LINF else inputs)


def precision_of(region: Ball | Ladder, asked: Fraction | None) -> Fraction | None:
    """The distance of the radii of a ball; None for a ladder, all of whose costs are told apart.
    Raises RegionError for one that is not above 0, larger than the radius, or too small for it."""
    if isinstance(region, Ladder):
        return None
    unit = min(_PRECISION[region.norm], region.radius) if asked is None else asked
    if not 0 < unit <= region.radius or region.radius / unit > _MOST:
        raise RegionError(
            f"precision {unit}",
            f"a number from {region.radius / _MOST} to {region.radius}, the largest radius",
            f"--precision {_PRECISION[region.norm]}",
        )
    return unit


def nest_of(region: Ball | Ladder, precision: Fraction | None, image: NDArray[Any]) -> Nest:
    """The regions around an image up to `region`. Raises RegionError where a ladder does not fit
    the image, or has too many costs to tell apart."""
    points = points_of(region, image)
    if isinstance(points, RungSet):
        unit = Fraction(1, points.denominator)
        costs = _sums(points.costs, points.budget)
        return Nest(region, image, unit, len(costs) - 1, costs)
    if precision is None:
        raise RegionError("a ball without a precision", "a number above 0", "--precision 1/2550")
    top = int(region.radius / precision)
    return Nest(replace(region, radius=top * precision), image, precision, top)


def _sums(costs: Sequence[int], budget: int) -> Ints:
    """The sums of sets of costs, `budget` at most, ascending from 0. Raises RegionError."""
    sums = np.zeros(1, np.int64)
    for cost in costs:
        if budget < 1 << 61 and cost <= budget:
            sums = np.union1d(sums, sums[sums <= budget - cost] + cost)
        if len(sums) > _MOST or budget >= 1 << 61:
            raise RegionError(
                f"a ladder of {len(costs)} features whose points have too many costs to list",
                f"{_MOST:,} at most",
                "fewer --features, or 8-bit images with --grid 8bit",
            )
    return sums
