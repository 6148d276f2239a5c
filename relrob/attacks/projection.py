"""Balls around images in [0,1]^d, and the way back into them.

What is projected lies inside as exact numbers: the ends are rounded inwards, so that a float32
image at the end of a ball is no witness against a proof by an ulp.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from relrob.attacks.attack import distances
from relrob.domain.arrays import Floats
from relrob.domain.region import Norm
from relrob.errors import UsageError

# A move that is too long by a rounding is shortened by this share, then by ever larger ones.
_SHORTER: Final = 2.0**-22
NORMS: Final = (Norm.LINF, Norm.L2)


@dataclass(frozen=True, eq=False)
class Around:
    """All images in [0,1]^d within `eps` of each of the `images` (n, d), in `norm`: LINF or L2.

    Raises UsageError for another norm.
    """

    images: Floats
    eps: float
    norm: Norm

    def __post_init__(self) -> None:
        check_norm(self.norm)

    def nearest(self, candidates: Floats) -> Floats:
        """The nearest image of each ball to its candidate (n, d), and clipped to [0,1]: float32."""
        if self.norm is Norm.LINF:
            low, high = self._ends
            return np.asarray(np.clip(candidates, low, high), np.float32)
        moves = candidates.astype(np.float64) - self.images
        lengths = np.sqrt((moves * moves).sum(axis=1))
        factors = np.minimum(1.0, self.eps / np.maximum(lengths, 1e-300))
        found = self.images
        for number in range(13):
            found = np.clip(self.images + factors[:, None] * moves, 0.0, 1.0).astype(np.float32)
            out = distances(found, self.images, Norm.L2) > self.eps
            if not out.any():
                break
            factors[out] *= 1 - _SHORTER * 4.0**number
        return found

    @cached_property
    def _ends(self) -> tuple[Floats, Floats]:
        return ends(self.images, self.eps)

    def drawn(self, rng: np.random.Generator, outermost: bool = False) -> Floats:
        """An image of each ball: uniform in the L-infinity ball (Madry et al. 2018), and in L2 a
        uniform direction with the radius of a uniform point of the ball; then clipped to [0,1].

        `outermost`: on the way from the image through it to the edge of the ball (Croce & Hein
        2020).
        """
        count, size = self.images.shape
        if self.norm is Norm.LINF:
            moves = rng.uniform(-1, 1, (count, size))
            if outermost:
                moves /= np.abs(moves).max(axis=1, keepdims=True)
        else:
            moves = rng.standard_normal((count, size))
            moves /= np.sqrt((moves * moves).sum(axis=1, keepdims=True))
            if not outermost:
                moves *= rng.random((count, 1)) ** (1 / size)
        return self.nearest((self.images + self.eps * moves).astype(np.float32))


def ends(images: Floats, eps: float) -> tuple[Floats, Floats]:
    """(least, largest) float32 pixels within `eps` of each pixel and in [0,1], as exact numbers."""
    exact = images.astype(np.float64)
    low, high = (np.clip(exact + each, 0.0, 1.0) for each in (-eps, eps))
    least, largest = low.astype(np.float32), high.astype(np.float32)
    least = np.where(least < low, np.nextafter(least, np.float32(2)), least)
    largest = np.where(largest > high, np.nextafter(largest, np.float32(-2)), largest)
    return least, largest


def inward(eps: float) -> np.float32:
    """The largest float32 that is at most `eps`, as exact numbers."""
    found = np.float32(eps)
    return found if float(found) <= eps else np.nextafter(found, np.float32(0))


def check_norm(norm: Norm) -> None:
    """Raise UsageError for a norm whose balls are not here."""
    if norm not in NORMS:
        raise UsageError(f"norm {norm}", ", ".join(NORMS))


def steepest(gradients: Floats, norm: Norm) -> Floats:
    """The move of length 1 in `norm` along which a loss with these gradients (n, d) grows most;
    none where a gradient is 0."""
    if norm is Norm.LINF:
        return np.asarray(np.sign(gradients), np.float32)
    wide = gradients.astype(np.float64)
    # A gradient may be too small for its square to be a number.
    wide /= np.maximum(np.abs(wide).max(axis=1, keepdims=True, initial=0.0), 1e-300)
    lengths = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    return np.asarray(wide / np.maximum(lengths, 1e-300), np.float32)
