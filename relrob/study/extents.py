"""What a region reaches around the images of a run, said before the run.

Its points, the cost of its cheapest move, and images around which it is the image alone, or every
image there is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, Final

from numpy.typing import NDArray

from relrob.domain.region import Region
from relrob.errors import RegionError, how_many
from relrob.regions.extent import Extent, counted, extent_of, far, steps, sure_radius, surely_moves

# Images whose regions are measured for a note, and seconds that counting their points may take.
_SHOWN: Final = 100
_PATIENCE: Final = 2.0


@dataclass(frozen=True)
class Extents:
    """Of `images`: those around which the region is the image alone (`vacuous`), and those around
    which it is all of [0,1]^n (`whole`). `nearly`: it can be, for it reaches half as far as two
    images can differ."""

    images: int
    vacuous: int = 0
    whole: int = 0
    nearly: bool = False

    def json(self) -> dict[str, int]:
        """Keys of summary.json, where there is something to tell."""
        found = {"vacuous": self.vacuous, "whole": self.whole}
        return {name: count for name, count in found.items() if count}

    def notes(self) -> list[str]:
        """Sentences about such images."""
        told = []
        if self.vacuous:
            told.append(
                f"the radius is below the cost of any move around {self.vacuous} of {self.images} "
                "images: their region is the image alone"
            )
        if self.whole:
            told.append(
                f"the region is all of [0,1]^n around {self.whole} of "
                f"{how_many(self.images, 'image')}"
            )
        elif self.nearly:
            told.append("the region is nearly all of [0,1]^n")
        return told


def extents_of(region: Region, images: NDArray[Any], indices: Sequence[int]) -> Extents:
    """The extents around the images of these indices.

    Raises RegionError where the region is the image alone around every one.
    """
    shown = [images[index] for index in indices]
    nearly = far(region, images[0].size)
    if surely_moves(region) and not nearly:
        return Extents(len(shown))
    found = [extent_of(region, image) for image in shown]
    if all(each.vacuous for each in found):
        raise _vacuous(region, found)
    vacuous = sum(each.vacuous for each in found)
    return Extents(len(found), vacuous, sum(each.whole for each in found), nearly)


def _vacuous(region: Region, found: Sequence[Extent]) -> RegionError:
    least = min((each.cheapest for each in found if each.cheapest is not None), default=None)
    cost = "" if least is None else f"; the cheapest move costs {number(least)}"
    radius = sure_radius(region)
    return RegionError(
        f"a {region.kind} of radius {number(region.radius)} around each of "
        f"{how_many(len(found), 'image')} is the image alone{cost}",
        "a radius that some move stays within",
        f"--radius {radius}",
    )


def before(region: Region, images: NDArray[Any], indices: Sequence[int]) -> str:
    """The region around the first images, in words: its points, and the cost of its cheapest
    move."""
    shown = [images[index] for index in indices[:_SHOWN]]
    words = [f"{region.kind} of radius {number(region.radius)}"]
    points = list(_points(region, shown))
    if points:
        words.append(f"{_span([f'{p:,}' for p in (min(points), max(points))])} points an image")
    costs = [extent_of(region, image).cheapest for image in islice(shown, len(points) or None)]
    moves = [cost for cost in costs if cost is not None]
    if moves and steps(region):
        ends = _span([number(cost) for cost in (min(moves), max(moves))])
        words.append(f"the cheapest move costs {ends}")
    told = len(points) or len(shown)
    sample = f" (first {told} of {how_many(len(indices), 'image')})" if told < len(indices) else ""
    return f"region: {', '.join(words)}{sample}"


def _points(region: Region, images: Iterable[NDArray[Any]]) -> Iterable[int]:
    """The number of points around each image, until patience ends; none for balls and lattices."""
    begin = time.monotonic()
    for image in images:
        count = counted(region, image)
        if count is None:
            return
        yield count
        if time.monotonic() - begin > _PATIENCE:
            return


def _span(ends: Sequence[str]) -> str:
    """One number, or the least and the largest."""
    return ends[0] if ends[0] == ends[-1] else f"{ends[0]} to {ends[-1]}"


def number(value: Fraction) -> str:
    """A fraction as users type it, or six digits of one that nobody would.

    >>> number(Fraction(5, 2)), number(Fraction(1, 3**30))
    ('5/2', '4.85694e-15')
    """
    return str(value) if len(str(value)) <= 12 else f"{float(value):.6g}"
