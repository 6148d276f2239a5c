"""The complete and covering ladder of one image as arrays: features, costs, points in a fixed
order (Duncan et al. 2020, Sec. II-C; docs/regions.md, "The ladder")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, ClassVar, Final, Literal, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools, Floats, Ints, Proposal, read_only
from relrob.domain.image import check_image
from relrob.domain.region import Ladder
from relrob.errors import RegionError, RelrobError
from relrob.regions.exact import fed, nearest_float32s, numerators
from relrob.regions.knapsack import Knapsack, knapsack_of

_SAFE: Final = 1 << 61  # sums and differences below fit int64


def saliency_order(pixels: list[int]) -> list[int]:
    """Axes by |x_i - mean(x)| descending, ties by raster order. The order is exact.

    Source: docs/regions.md, "The ladder".
    """
    total, count = sum(pixels), len(pixels)
    if count * max(map(abs, pixels), default=0) < _SAFE:
        from_mean = np.abs(count * np.array(pixels, np.int64) - total)
        order: list[int] = np.argsort(-from_mean, kind="stable").tolist()
        return order
    return sorted(range(count), key=lambda axis: (-abs(count * pixels[axis] - total), axis))


def moved_pixel(pixel: int, step: int, one: int) -> int:
    """The pixel after one step toward the other extreme, clipped. All three numbers have one
    denominator; `one` is white."""
    return max(pixel - step, 0) if 2 * pixel > one else min(pixel + step, one)


@dataclass(frozen=True, eq=False)
class Rung:
    """A block of points: those of rank `start`, `start`+1, ...; `masks` (n, F) is True where a
    feature is moved."""

    start: int
    masks: Bools


@final
@dataclass(frozen=True, eq=False)
class RungSet:
    """All points of a ladder around one image.

    `base`: float32 (d,), the clean image; `axes`: (F, k) raster positions of each feature; `moved`:
    float32 (F, k), the values that they take; `costs`: exact L1 cost of each feature in units of
    1/`denominator`; `budget`: the radius in the same units.
    """

    region: Ladder
    base: Floats
    axes: Ints
    moved: Floats
    costs: tuple[int, ...]
    budget: int
    denominator: int
    joint: ClassVar[Literal[True]] = True  # networks are asked together: points are counted on both

    @property
    def features(self) -> int:
        """F, the number of features."""
        return len(self.costs)

    @cached_property
    def knapsack(self) -> Knapsack:
        """The sets of features within the radius. Raises RegionError where their costs are too many
        to count."""
        return knapsack_of(self.costs, self.budget)

    @property
    def count(self) -> int:
        """Exact number of points, the clean image included."""
        return self.knapsack.count

    def rungs(self, size: int, start: int = 0) -> Iterator[Rung]:
        """All points from rank `start` on, in blocks of at most `size`; memory O(size)."""
        for first in range(start, self.count, size):
            yield Rung(first, self.knapsack.masks(first, first + size))

    def images(self, masks: Bools) -> Floats:
        """The perturbed images of some masks: (n, F) -> (n, d) float32."""
        out = np.empty((len(masks), len(self.base)), np.float32)
        self.fill(out, masks)
        return out

    def fill(self, images: Floats, masks: Bools) -> None:
        """Write the perturbed images of some masks (n, F) into the first n rows of contiguous
        `images` (m, d)."""
        group, base, change = self._bits
        bits = images[: len(masks)].view(np.int32)
        # A mask becomes all bits or none.
        np.take(-masks.astype(np.int32), group, axis=1, out=bits, mode="clip")
        bits &= change
        bits ^= base

    @cached_property
    def _bits(self) -> tuple[Ints, NDArray[np.int32], NDArray[np.int32]]:
        """For each pixel: the feature that moves it (any where none does), the bits of its clean
        value, and the bits that moving changes."""
        group, moved = np.zeros(len(self.base), np.int64), self.base.copy()
        group[self.axes] = np.arange(self.features)[:, None]
        moved[self.axes] = self.moved
        base = self.base.view(np.int32)
        return group, base, base ^ moved.view(np.int32)

    def cost_units(self, masks: Bools) -> NDArray[Any]:
        """Exact costs in units of 1/`denominator`: (n,), int64 or Python integers."""
        # Below 2^53 a float64 product is exact, and fast.
        if sum(self.costs) < 1 << 53:
            return (masks.astype(np.float64) @ np.array(self.costs, dtype=np.float64)).astype(
                np.int64
            )
        total = np.zeros(len(masks), dtype=object)
        for feature, cost in enumerate(self.costs):
            total = total + masks[:, feature].astype(object) * cost
        return total

    def cost(self, mask: Proposal) -> Fraction:
        """Exact L1 cost of one mask (F,)."""
        return Fraction(
            sum(c for c, chosen in zip(self.costs, mask, strict=True) if chosen), self.denominator
        )

    def at(self, proposal: Proposal) -> Floats:
        """The perturbed image (d,) of a proposed mask (F,). Raises RelrobError where it is not one
        of the ladder: a solver must never propose such a point."""
        mask: Bools = np.asarray(proposal, dtype=np.bool_)
        image: Floats = self.images(mask[None, :])[0]
        if self.cost(mask) > self.region.radius or not self.contains(image):
            raise RelrobError(
                "a solver proposed a perturbed image outside the region",
                hint="reporting this as a bug",
            )
        return image

    def moved_by(self, proposal: Proposal) -> tuple[int, ...]:
        """The features that a mask (F,) moves."""
        return tuple(int(feature) for feature in np.flatnonzero(proposal))

    def described(self) -> bytes:
        """What tells these points from all others."""
        costs = f"{self.region} {self.costs} {self.budget}/{self.denominator}"
        arrays = (self.base.tobytes(), self.axes.tobytes(), self.moved.tobytes())
        return b"\n".join((costs.encode(), *arrays))

    def contains(self, image: Floats) -> bool:
        """Is `image` (d,) a point of this ladder, bit for bit? A step below float32's resolution
        moves nothing."""
        shown = image[self.axes]
        mask = (shown == self.moved).all(axis=1) & (self.moved != self.base[self.axes]).any(axis=1)
        rebuilt = self.images(mask[None, :])[0]
        return bool(np.array_equal(rebuilt, image)) and self.cost(mask) <= self.region.radius

    def near(self, image: Floats) -> Floats | None:
        """The point of the ladder that `image` (d,) is, or else the one that it points at: of the
        features whose pixels have come part of their way, on the whole, those that have come the
        farthest, while the radius allows. None where there is no such feature."""
        if self.contains(image):
            return image
        here = self.base[self.axes].astype(np.float64)
        way, come = self.moved - here, image[self.axes] - here
        length = np.abs(way).sum(axis=1)
        share = (come * np.sign(way)).sum(axis=1) / np.maximum(length, 1e-300)
        mask, left = np.zeros(self.features, np.bool_), self.budget
        for feature in np.argsort(-share, kind="stable"):
            if share[feature] > 0 and self.costs[feature] <= left:
                mask[feature] = True
                left -= self.costs[feature]
        return self.images(mask[None, :])[0] if mask.any() else None


@dataclass(frozen=True)
class Moves:
    """The moves of a ladder around one image, exactly; all integers have one `denominator`.

    `axes`: raster positions of the pixels, feature by feature; `moved`: their values after the
    step; `costs`: L1 cost of each feature; `budget`: the radius.
    """

    axes: list[int]
    moved: list[int]
    costs: tuple[int, ...]
    budget: int
    denominator: int


def moves_of(ladder: Ladder, image: NDArray[Any]) -> Moves:
    """The moves of the ladder around an image (any shape, uint8 levels or float32 in [0,1]).

    Raises RegionError when the image has fewer features than asked for.
    """
    pixels, one = numerators(check_image(image), ladder.step, ladder.radius)
    available = len(pixels) // ladder.axes
    features = available if ladder.features is None else ladder.features
    if features > available or features == 0:
        raise RegionError(
            f"{features or 'all'} features of {ladder.axes} axes"
            f" on an image of {len(pixels)} pixels",
            f"at most {available}" if available else f"--axes of at most {len(pixels)}",
            "--features all" if available else f"--axes {max(len(pixels) // max(features, 1), 1)}",
        )
    chosen = saliency_order(pixels)[: features * ladder.axes]
    step = int(ladder.step * one)
    moved = [moved_pixel(pixels[axis], step, one) for axis in chosen]
    change = [abs(after - pixels[axis]) for axis, after in zip(chosen, moved, strict=True)]
    costs = tuple(sum(change[g * ladder.axes : (g + 1) * ladder.axes]) for g in range(features))
    return Moves(chosen, moved, costs, int(ladder.radius * one), one)


def rung_set(ladder: Ladder, image: NDArray[Any]) -> RungSet:
    """The ladder around an image (any shape, uint8 levels or float32 in [0,1]).

    Raises RegionError when the image has fewer features than asked for.
    """
    moves = moves_of(ladder, image)
    shape = (len(moves.costs), ladder.axes)
    return RungSet(
        region=ladder,
        base=read_only(fed(check_image(image))),
        axes=read_only(np.array(moves.axes, dtype=np.int64).reshape(shape)),
        moved=read_only(nearest_float32s(moves.moved, moves.denominator).reshape(shape)),
        costs=moves.costs,
        budget=moves.budget,
        denominator=moves.denominator,
    )
