"""A search for a witness in a ball or lattice by outputs alone: corners at random, then squares.

After Andriushchenko et al. 2020 (Square Attack): a random square of the image is moved as far as it
goes, one direction a channel, and kept where the margin falls; the squares shrink with time. Every
candidate is brought back into the ball by its norm. Nothing is asked of the network but outputs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from relrob.attacks.squares import halved, side
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.region import Norm
from relrob.networks.evaluator import labels, margins
from relrob.queries.clock import Watch
from relrob.regions.ball import BallSet

Predict = Callable[[Floats], Floats]

IMAGES: Final = 3000  # that are run at most
_CORNERS: Final = 64
_TOGETHER: Final = 16
# Shares of the search at which the squares become half as large (of the paper, there of 10,000).
_HALVED: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
_FIRST: Final = 0.3  # of the image, covered by the first squares


@dataclass(frozen=True, eq=False)
class Sought:
    """What the search found: a `witness` (d,) or None, the smallest margin met, images run."""

    witness: Floats | None
    least: float
    tried: int


def score_search(
    ball: BallSet,
    label: int,
    shape: tuple[int, int, int],
    predict: Predict,
    alone: Predict,
    watch: Watch,
    images: int = IMAGES,
) -> Sought:
    """Look for an image of the ball with another label, until `images` were run or time is up.

    `shape`: (H, W, C) of the images; `predict`: outputs (n, classes) of images (n, d) in a batch;
    `alone`: the same of one image, as the network is deployed, which has the last word. The same
    ball gives the same search.
    """
    rng = np.random.default_rng(list(hashlib.sha256(ball.base.tobytes()).digest()[:16]))
    search = _Search(ball, label, predict, alone, watch, images)
    moves, best = np.zeros(len(ball.base)), search.see([np.zeros(len(ball.base))])
    while search.open and search.tried < 1 + _CORNERS:
        moves, best = _better(search, [_corner(rng, ball, shape) for _ in range(8)], moves, best)
    while search.open:
        covered = halved(_FIRST, search.tried / images, _HALVED)
        edge = side(covered, *shape[:2])
        squares = [_square(rng, ball, shape, moves, edge) for _ in range(_TOGETHER)]
        moves, best = _better(search, squares, moves, best)
    return Sought(search.witness, search.least, search.tried)


class _Search:
    """The images run so far. Only points of the ball are run."""

    def __init__(
        self, ball: BallSet, label: int, predict: Predict, alone: Predict, watch: Watch, most: int
    ) -> None:
        self._ball, self._label, self._predict, self._alone = ball, label, predict, alone
        self._watch, self._most = watch, most
        self._ends = ball.ends() if ball.norm is Norm.LINF else None
        self._empty = 0
        self.witness: Floats | None = None
        self.least, self.tried = np.inf, 0

    @property
    def open(self) -> bool:
        """Is there anything left to do?"""
        spent = self._watch.late or self.tried >= self._most or self._empty > self._most
        return self.witness is None and not spent

    def _point(self, moves: Doubles) -> Floats | None:
        """The image at these moves; of an L-infinity ball the ends of its pixels keep it inside."""
        if self._ends is None:
            return self._ball.point(moves)
        image: Floats = np.clip((self._ball.base + moves).astype(np.float32), *self._ends)
        return image

    def see(self, candidates: list[Doubles]) -> Doubles:
        """Margins (n,) of images at moves (d,); infinity where the moves leave the ball."""
        found = np.full(len(candidates), np.inf)
        points = [(at, self._point(moves)) for at, moves in enumerate(candidates)]
        there = [(at, image) for at, image in points if image is not None]
        self._empty += len(candidates) - len(there)
        if not there:
            return found
        outputs = self._predict(np.stack([image for _, image in there]))
        self.tried += len(there)
        seen = margins(outputs, self._label)
        found[[at for at, _ in there]] = seen
        self.least = min(self.least, float(seen.min()))
        for row in np.flatnonzero(labels(outputs) != self._label):
            image = there[int(row)][1]
            if int(labels(self._alone(image[None, :]))[0]) != self._label:
                self.witness = image
                break
        return found


def _better(
    search: _Search, candidates: list[Doubles], moves: Doubles, best: Doubles
) -> tuple[Doubles, Doubles]:
    """The candidate of the smallest margin, unless that is above the best one."""
    seen = search.see(candidates)
    least = int(seen.argmin())
    return (candidates[least], seen[[least]]) if seen[least] <= best[0] else (moves, best)


def _corner(rng: np.random.Generator, ball: BallSet, shape: tuple[int, int, int]) -> Doubles:
    """A corner of the ball: each chosen pixel as far up or down as it goes; of an L-infinity ball
    all pixels, by stripes or one by one, of others a few."""
    size = len(ball.base)
    if ball.norm is Norm.LINF:
        alone = rng.random() < 0.5
        signs = rng.integers(0, 2, size if alone else (1, *shape[1:]))
        ups = np.broadcast_to(signs.reshape(-1) if alone else signs, size if alone else shape)
        return np.where(ups.reshape(-1) == 1, ball.up, -ball.down)
    few = min(size, max(1, int(2 ** rng.uniform(0, np.log2(max(2 * ball.radius, 2))))))
    chosen = rng.choice(size, few, replace=False)
    return _into(rng, ball, _moved(rng, ball, np.zeros(size), chosen))


def _square(
    rng: np.random.Generator,
    ball: BallSet,
    shape: tuple[int, int, int],
    moves: Doubles,
    edge: int,
) -> Doubles:
    """The moves with a square of the image moved anew."""
    height, width, channels = shape
    tall, wide = min(edge, height), min(edge, width)
    top, left = int(rng.integers(0, height - tall + 1)), int(rng.integers(0, width - wide + 1))
    grid = np.arange(len(moves)).reshape(shape)[top : top + tall, left : left + wide]
    if ball.norm is Norm.LINF:
        new = moves.copy()
        for channel in range(channels):
            some = grid[..., channel].reshape(-1)
            new[some] = ball.up[some] if rng.random() < 0.5 else -ball.down[some]
        return new
    return _into(rng, ball, _moved(rng, ball, moves, grid.reshape(-1)))


def _moved(rng: np.random.Generator, ball: BallSet, moves: Doubles, chosen: np.ndarray) -> Doubles:
    """The moves with the chosen pixels as far up or down as they go; of an L0 ball these replace as
    many others, at random."""
    new = moves.copy()
    new[chosen] = np.where(rng.random(len(chosen)) < 0.5, ball.up[chosen], -ball.down[chosen])
    if ball.norm is Norm.L0:
        kept = np.flatnonzero(new)
        few = int(ball.region.radius)
        new[rng.permutation(kept)[few:]] = 0.0
    return new


def _into(rng: np.random.Generator, ball: BallSet, moves: Doubles) -> Doubles:
    """The moves brought into the ball: shorter by one factor (L2), or as many of them, in random
    order, as the radius allows (L1 and lattices, where few large moves reach farthest)."""
    radius = float(ball.region.radius)
    if ball.norm is Norm.L2:
        length = float(np.linalg.norm(moves))
        return moves * min(1.0, radius / length) if length else moves
    if ball.norm is Norm.L1:
        order = rng.permutation(len(moves))
        before = np.cumsum(np.abs(moves[order])) - np.abs(moves[order])
        new = np.zeros_like(moves)
        left = np.maximum(radius - before, 0.0)
        new[order] = np.sign(moves[order]) * np.minimum(np.abs(moves[order]), left)
        return new
    return moves
