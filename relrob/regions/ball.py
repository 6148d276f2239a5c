"""The ball or the lattice around one image as arrays: moves of pixels, exact membership, points."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats, Proposal, read_only
from relrob.domain.image import check_image
from relrob.domain.region import Ball, Lattice, Norm
from relrob.errors import RelrobError
from relrob.regions.exact import fed, float32_inside, nearest_float32

# Half a unit of a float32 in [1/2, 1]: the largest rounding of a value in [0, 1].
_HALF_UNIT = 2.0**-25


@final
@dataclass(frozen=True, eq=False)
class BallSet:
    """All images of a ball or lattice around one image.

    `base`: float32 (d,), the clean image; `exact`: its pixels as fractions, k/255 for levels on a
    lattice, `base` itself in a ball; `down`, `up`: float64 (d,) >= 0, the farthest moves of each
    pixel from `base`, outward; `norm`, `radius`: the norm of the moves, and its limit, outward.
    """

    region: Ball | Lattice
    base: Floats
    exact: tuple[Fraction, ...]
    down: Doubles
    up: Doubles
    norm: Norm
    radius: float
    # Each network is asked alone: there is nothing to count on both.
    joint: ClassVar[Literal[False]] = False
    count: ClassVar[None] = None  # no solver visits every image

    def at(self, proposal: Proposal) -> Floats:
        """A proposed image (d,). Raises RelrobError where it is not one of the region: a solver
        must never propose such an image."""
        image: Floats = np.asarray(proposal, dtype=np.float32)
        if not self.contains(image):
            raise RelrobError(
                "a solver proposed a perturbed image outside the region",
                hint="reporting this as a bug",
            )
        return image

    def moved_by(self, proposal: Proposal) -> tuple[int, ...]:
        """No features are moved in a ball."""
        return ()

    def described(self) -> bytes:
        """What tells these images from all others."""
        return f"{self.region} {self.exact}\n".encode() + self.base.tobytes()

    def contains(self, image: Floats) -> bool:
        """Is `image` (d,) a point of the region? The answer is exact."""
        if (
            image.shape != self.base.shape
            or image.dtype != np.float32
            or not bool(np.isfinite(image).all())
        ):
            return False
        changed = np.flatnonzero(image != self.base)
        if isinstance(self.region, Lattice):
            moves = [_grid_move(self.exact[i], float(image[i]), self.region.step) for i in changed]
            return (
                None not in moves
                and sum(move for move in moves if move is not None) <= self.region.radius
            )
        if image.min(initial=0) < 0 or image.max(initial=0) > 1:
            return False
        return _within(self.region, [Fraction(float(image[i])) - self.exact[i] for i in changed])

    def near(self, image: Floats) -> Floats | None:
        """The point of the region that `image` (d,) is, but for rounding; on a lattice, the one
        that whole steps towards it reach. None where it is outside."""
        if self.contains(image):
            return image
        return self.point(image.astype(np.float64) - self.base)

    def cost(self, image: Proposal) -> Fraction:
        """Exact L1 change of an image (d,), as it is fed."""
        changed = np.flatnonzero(image != self.base)
        return sum(
            (abs(Fraction(float(image[i])) - Fraction(float(self.base[i]))) for i in changed),
            Fraction(0),
        )

    def ends(self) -> tuple[Floats, Floats]:
        """The smallest and the largest value of each pixel (d,) in an L-infinity ball, exact."""
        zero, one, radius = Fraction(0), Fraction(1), self.region.radius
        known = {
            pixel: (
                float32_inside(max(pixel - radius, zero), True),
                float32_inside(min(pixel + radius, one), False),
            )
            for pixel in set(self.exact)
        }
        low, high = zip(*(known[pixel] for pixel in self.exact), strict=True)
        return read_only(np.array(low, dtype=np.float32)), read_only(
            np.array(high, dtype=np.float32)
        )

    def point(self, moves: Doubles) -> Floats | None:
        """The image (d,) of the region nearest to base + moves (d,), no pixel further than asked.

        Its pixels are float32 values, or points of the grid. None when the moves leave the region
        by more than rounding.
        """
        if not np.isfinite(moves).all():
            return None
        if isinstance(self.region, Lattice):
            return self._grid_point(moves, self.region)
        for shrink in (1.0, 1 - 2.0**-20):
            wanted = np.clip(self.base + moves * shrink, 0.0, 1.0)
            image = wanted.astype(np.float32)
            beyond = np.abs(image - self.base.astype(np.float64)) > np.abs(wanted - self.base)
            image = np.where(beyond, np.nextafter(image, self.base), image).astype(np.float32)
            if self.contains(image):
                return read_only(image)
        return None

    def _grid_point(self, moves: Doubles, region: Lattice) -> Floats | None:
        """The point with as many whole steps for each pixel as its move allows. The last step into
        black or white may be cut."""
        image = self.base.copy()
        for i in np.flatnonzero(moves):
            target = min(max(self.exact[i] + Fraction(float(moves[i])), Fraction(0)), Fraction(1))
            if target in (0, 1):
                value = target
            else:
                steps = int(abs(target - self.exact[i]) / region.step)
                value = self.exact[i] + (1 if moves[i] > 0 else -1) * steps * region.step
            image[i] = nearest_float32(value.numerator, value.denominator)
        return read_only(image) if self.contains(image) else None


def _within(region: Ball, moves: list[Fraction]) -> bool:
    """Is the norm of these moves at most the radius? All other pixels stay."""
    if region.norm is Norm.L0:
        return len(moves) <= region.radius
    if region.norm is Norm.L1:
        return sum((abs(move) for move in moves), Fraction(0)) <= region.radius
    if region.norm is Norm.L2:
        return sum((move * move for move in moves), Fraction(0)) <= region.radius**2
    return max((abs(move) for move in moves), default=Fraction(0)) <= region.radius


def _grid_move(pixel: Fraction, value: float, step: Fraction) -> Fraction | None:
    """The least move along a pixel's grid after which it is fed as `value`; None when there is
    none."""
    if value == 0.0:
        return pixel
    if value == 1.0:
        return 1 - pixel
    near = round((Fraction(value) - pixel) / step)
    for steps in sorted((near - 1, near, near + 1), key=abs):
        target = pixel + steps * step
        if (
            0 <= target <= 1
            and float(nearest_float32(target.numerator, target.denominator)) == value
        ):
            return abs(steps * step)
    return None


def ball_set(region: Ball | Lattice, image: NDArray[Any]) -> BallSet:
    """The region around an image (any shape, uint8 levels or float32 in [0,1])."""
    image = check_image(image)
    flat = image.ravel()
    base = fed(image)
    wide = base.astype(np.float64)
    lattice = isinstance(region, Lattice)
    levels = lattice and flat.dtype == np.uint8
    exact = tuple(
        Fraction(int(v), 255) if levels else Fraction(float(v)) for v in (flat if levels else base)
    )
    norm, radius = region.norm, _up(region.radius)
    # On a lattice the clean image and every moved pixel are rounded.
    if lattice:
        radius = float(np.nextafter(radius + len(base) * 2 * _HALF_UNIT, np.inf))
    most = 1.0 if norm is Norm.L0 else radius
    return BallSet(
        region=region,
        base=read_only(base),
        exact=exact,
        down=read_only(np.minimum(wide, most)),
        up=read_only(np.minimum(np.nextafter(1 - wide, np.inf), most)),
        norm=norm,
        radius=radius,
    )


def _up(value: Fraction) -> float:
    """The float64 at or above a fraction."""
    found = float(value)
    return found if Fraction(found) >= value else float(np.nextafter(found, np.inf))
