"""How far a region reaches around an image: the cost of its cheapest move, whether it is the image
alone, and whether it is every image there is."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.image import check_image
from relrob.domain.region import Ball, Ladder, Lattice, Norm, Region, Search
from relrob.errors import RegionError
from relrob.regions.exact import fed
from relrob.regions.knapsack import knapsack_of
from relrob.regions.ladder import moves_of
from relrob.regions.points import points_of
from relrob.regions.search_features import groups_of


@final
@dataclass(frozen=True)
class Extent:
    """`cheapest`: the exact cost of the cheapest move, in the unit of the radius; None where no
    pixel can move. `whole`: the region holds every image of [0,1]^n."""

    radius: Fraction
    cheapest: Fraction | None
    whole: bool

    @property
    def vacuous(self) -> bool:
        """Is the region the image alone?"""
        return self.cheapest is None or self.cheapest > self.radius


def check_region(region: Region, image: NDArray[Any]) -> None:
    """Refuse a region that does not fit the image. Raises RegionError."""
    if isinstance(region, Search):
        groups_of(region, image)
    else:
        points_of(region, image)


def extent_of(region: Region, image: NDArray[Any]) -> Extent:
    """The extent around an image (any shape, uint8 levels or float32 in [0,1]); exact.

    Raises RegionError where a ladder does not fit the image.
    """
    if isinstance(region, Ladder | Search):
        ladder = region.ladder if isinstance(region, Search) else region
        moves = moves_of(ladder, image)
        return Extent(region.radius, Fraction(min(moves.costs), moves.denominator), whole=False)
    image = check_image(image)
    whole = far(region, image.size) and _farthest(region, image) <= _powered(region)
    if isinstance(region, Lattice):
        return Extent(region.radius, _least_step(region.step, image), whole)
    cheapest = Fraction(1) if region.norm is Norm.L0 else _least_gap(fed(image))
    return Extent(region.radius, cheapest, whole)


def surely_moves(region: Region) -> bool:
    """Is the region more than the image alone, whatever the image? (No feature and no pixel costs
    more.)"""
    if isinstance(region, Ladder | Search):
        return region.radius >= region.axes * region.step
    if isinstance(region, Lattice):
        return region.radius >= region.step
    return region.norm is Norm.L0 or region.radius >= Fraction(1, 2**24)


def sure_radius(region: Region) -> Fraction:
    """A radius at which the region is more than the image alone: of a ladder and a search the one
    that eight features fit in, as in Duncan et al. 2020, for 20 and 1/4."""
    if isinstance(region, Ladder | Search):
        return 8 * region.axes * region.step
    if isinstance(region, Lattice):
        return region.step
    return Fraction(1) if region.norm is Norm.L0 else Fraction(1, 255)


def counted(region: Region, image: NDArray[Any]) -> int | None:
    """The number of points of a ladder around an image; None for other regions, and for a ladder
    that cannot be counted."""
    if not isinstance(region, Ladder):
        return None
    try:
        moves = moves_of(region, image)
        return knapsack_of(moves.costs, moves.budget).count
    except RegionError:
        return None


def steps(region: Region) -> bool:
    """Is the region one of steps?"""
    return not isinstance(region, Ball)


def far(region: Region, inputs: int) -> bool:
    """Does the region reach at least half as far as two images of n = `inputs` pixels can differ?
    Only then can it be all of [0,1]^n. (For L2 that is a quarter of the squares.)"""
    if isinstance(region, Ladder | Search):
        return False
    norm = region.norm
    farthest = 1 if norm is Norm.LINF else inputs
    return _powered(region) >= Fraction(farthest, 4 if norm is Norm.L2 else 2)


def _powered(region: Ball | Lattice) -> Fraction:
    """The radius, or the square of an L2 ball's."""
    return region.radius**2 if region.norm is Norm.L2 else region.radius


def _farthest(region: Ball | Lattice, image: NDArray[Any]) -> Fraction:
    """The distance from the image to the corner of [0,1]^n farthest from it; of L2: its square."""
    norm = region.norm
    pixels = [Fraction(float(value)) for value in fed(image)]
    moves = [max(pixel, 1 - pixel) for pixel in pixels]
    if norm is Norm.L0:
        return Fraction(len(moves))
    if norm is Norm.LINF:
        return max(moves)
    return sum((move**2 if norm is Norm.L2 else move for move in moves), Fraction(0))


def _least_step(step: Fraction, image: NDArray[Any]) -> Fraction | None:
    """The least change of a pixel by a step, which [0,1] may cut short."""
    unit = Fraction(1, 255) if image.dtype == np.uint8 else Fraction(1)
    values = [unit * Fraction(value) for value in np.unique(image).tolist()]
    room = [end for value in values for end in (value, 1 - value) if end > 0]
    return min((min(step, end) for end in room), default=None)


def _least_gap(pixels: NDArray[np.float32]) -> Fraction:
    """The least change of a pixel to another float32 in [0,1]."""
    values = np.unique(pixels)
    gaps = []
    for end in (np.float32(0), np.float32(1)):
        moved = np.nextafter(values, end)
        gaps += [
            abs(Fraction(float(after)) - Fraction(float(before)))
            for before, after in zip(values, moved, strict=True)
            if after != before
        ]
    return min(gaps)
