"""The moves of the Square attack, in an L-infinity and in an L2 ball."""

from __future__ import annotations

from typing import Final, Protocol, final

import numpy as np

from relrob.attacks.projection import ends
from relrob.attacks.squares import eta, side
from relrob.domain.arrays import Floats, Ints

# Tiles of the first L2 perturbation, along each axis.
_TILES: Final = 5
# An L2 perturbation is scaled to this share of its length, so that rounding leaves it in the ball.
_SHORT: Final = 1 - 2.0**-20
_TINY: Final = np.float32(1e-12)


class Moves(Protocol):
    """Random perturbations of the images (n, d), the same for each image."""

    def first(self, rng: np.random.Generator) -> Floats:
        """The images (n, d) perturbed as a restart begins."""
        ...

    def moved(self, best: Floats, rows: Ints, covered: float, rng: np.random.Generator) -> Floats:
        """The perturbed images `best` (m, d) of `rows`, moved in a square that covers a share of
        the image. Nothing that is drawn depends on the rows."""
        ...


@final
class LinfMoves:
    """Vertical stripes first, then squares, each channel by plus or minus eps."""

    def __init__(self, images: Floats, eps: float, shape: tuple[int, int, int]) -> None:
        self._shape = (-1, *shape)
        self._low, self._high = ends(images, eps)

    def first(self, rng: np.random.Generator) -> Floats:
        """Each column and channel up or down as a whole."""
        _, height, width, channels = self._shape
        ups = np.broadcast_to(rng.random((1, width, channels)) < 0.5, (height, width, channels))
        return np.where(ups.reshape(-1), self._high, self._low)

    def moved(self, best: Floats, rows: Ints, covered: float, rng: np.random.Generator) -> Floats:
        """A square in each channel up or down as far as the ball goes."""
        _, height, width, channels = self._shape
        edge = side(covered, height, width)
        tall, wide = min(edge, height), min(edge, width)
        top, left = _place(rng, height, tall), _place(rng, width, wide)
        up = rng.random(channels) < 0.5
        window = (slice(None), slice(top, top + tall), slice(left, left + wide))
        found = best.copy()
        low, high = (ends.reshape(self._shape)[window][rows] for ends in (self._low, self._high))
        found.reshape(self._shape)[window] = np.where(up, high, low)
        return found


@final
class L2Moves:
    """A tiling of bumps first; then a bump in one square takes the length that the perturbation has
    in another (section 4.3 of the paper, and the authors' code)."""

    def __init__(self, images: Floats, eps: float, shape: tuple[int, int, int]) -> None:
        self._images, self._shape, self._eps = images, (-1, *shape), eps

    def first(self, rng: np.random.Generator) -> Floats:
        """The tiling, scaled to eps."""
        _, height, width, channels = self._shape
        tile = max(1, height // _TILES)
        spare = (height - _TILES * tile) // 2 if height > _TILES * tile else 0
        moves = np.zeros((1, height, width, channels), np.float32)
        for top in range(spare, height - tile + 1, tile):
            for left in range(spare, width - tile + 1, tile):
                bump = eta(tile, bool(rng.random() < 0.5))[:, :, None] * _signs(rng, channels)
                moves[0, top : top + tile, left : left + tile] += bump
        return self._ball(self._images, moves.reshape(1, -1))

    def moved(self, best: Floats, rows: Ints, covered: float, rng: np.random.Generator) -> Floats:
        """The perturbation with a new bump in one window, and none in the other."""
        _, height, width, channels = self._shape
        size = _odd(side(covered, height, width), min(height, width))
        one, two = (
            (slice(None), slice(top, top + size), slice(left, left + size))
            for top, left in ((_place(rng, height, size), _place(rng, width, size)) for _ in "12")
        )
        bump = eta(size, bool(rng.random() < 0.5))[:, :, None] * _signs(rng, channels)
        images = self._images[rows]
        moves = np.asarray(best - images, np.float32).reshape(self._shape)
        mask = np.zeros((height, width, 1), np.float32)
        mask[one[1:]] = mask[two[1:]] = 1
        free = np.float32(self._eps) ** 2 - _squares(moves, (1, 2, 3))
        spare = np.maximum(free, 0) / channels
        length = np.sqrt(spare + _squares(moves * mask, (1, 2, 3)))
        own = moves[one]
        new = np.asarray(bump + own / (_TINY + np.sqrt(_squares(own, (1, 2)))), np.float32)
        new = np.asarray(new / (_TINY + np.sqrt(_squares(new, (1, 2)))) * length, np.float32)
        moves[two] = 0
        moves[one] = new
        return self._ball(images, moves.reshape(len(rows), -1))

    def _ball(self, images: Floats, moves: Floats) -> Floats:
        """The images with the moves scaled to eps, clipped."""
        lengths = np.linalg.norm(moves, axis=1, keepdims=True) + _TINY
        scaled = moves * (np.float32(self._eps * _SHORT) / lengths)
        return np.asarray(np.clip(images + scaled, 0, 1), np.float32)


def _squares(moves: Floats, axes: tuple[int, ...]) -> Floats:
    """Sums of squares over axes, which are kept."""
    return np.asarray((moves * moves).sum(axis=axes, keepdims=True))


def _signs(rng: np.random.Generator, channels: int) -> Floats:
    """Plus or minus 1 for each channel."""
    return np.where(rng.random(channels) < 0.5, np.float32(1), np.float32(-1))


def _place(rng: np.random.Generator, extent: int, size: int) -> int:
    """The first row or column of a window."""
    return int(rng.integers(0, extent - size + 1))


def _odd(size: int, most: int) -> int:
    """An odd size of 3 or more that fits."""
    wanted = max(size, 3) | 1
    return wanted if wanted <= most else most - (1 - most % 2)
