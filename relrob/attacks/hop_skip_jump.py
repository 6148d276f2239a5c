"""HopSkipJump: gradients at the boundary from labels alone (Chen, Jordan and Wainwright 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from relrob.attacks.attack import distances
from relrob.attacks.decisions import STARTS, Sight, closest
from relrob.attacks.goal import Goal
from relrob.attacks.parameters import among, whole
from relrob.attacks.projection import check_norm
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.region import Norm

# Candidates that are made at once.
_TOGETHER: Final = 1024
# The most halvings of a step before it is given up.
_HALVINGS: Final = 25
# The first distance at which labels are probed, in pixel units (the authors' code).
_FIRST: Final = 0.1


@dataclass(frozen=True)
class HopSkipJump:
    """Each step goes back to the boundary by bisection, estimates the gradient there from the
    labels of `evaluations` sqrt(step) noisy images, `most` at most, and moves along it as far as
    the image stays adversarial.

    The same noise serves every image of a step. A bisection after the last step, which ART leaves
    out, ends on the boundary. About `steps`^1.5 * 2/3 `evaluations` queries an image: 2,400 for 10
    steps.
    """

    norm: Norm = Norm.L2
    steps: int = 20
    evaluations: int = 100
    most: int = 10000
    draws: int = 100
    start: str = "any"
    restarts: int = 1

    def __post_init__(self) -> None:
        check_norm(self.norm)
        for name in ("steps", "evaluations", "most", "draws", "restarts"):
            whole(name, getattr(self, name))
        among("start", self.start, STARTS)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """All images step by step together; none changes the course of another."""
        sight = Sight(victim, goal, images)

        def restart(rows: Ints, own: np.random.Generator) -> tuple[Floats, Bools]:
            return self._restart(sight, rows, own)

        return closest(sight, self.restarts, restart, rng, self.norm)

    def _restart(self, sight: Sight, rows: Ints, rng: np.random.Generator) -> tuple[Floats, Bools]:
        """The nearest points (n, d) that were met, and the images for which there is one (n,)."""
        best, found = sight.starts(rng, self.draws, self.start, rows)
        rows = np.flatnonzero(found)
        size = sight.images.shape[1]
        theta = 0.01 / (size if self.norm is Norm.LINF else np.sqrt(size))
        points = sight.nearer(best[rows], rows, Norm.L2, np.full(len(rows), 1e-3))
        probes = np.full(len(rows), _FIRST)
        for step in range(self.steps + 1):
            points = self._boundary(sight, points, rows, theta)
            gaps = self._keep(sight, best, points, rows)
            if step == self.steps:
                break
            count = min(int(self.evaluations * np.sqrt(step + 1)), self.most)
            noise = self._noise(rng, count, size)
            ways = self._ways(sight, points, rows, noise, probes)
            points = _jumped(sight, points, rows, ways, gaps / np.sqrt(step + 1))
            scale = size if self.norm is Norm.LINF else np.sqrt(size)
            probes = scale * theta * distances(points, sight.images[rows], self.norm)
        return best, found

    def _boundary(self, sight: Sight, points: Floats, rows: Ints, theta: float) -> Floats:
        """The points moved towards their images as far as they stay adversarial."""
        within = np.full(len(rows), theta)
        if self.norm is Norm.LINF:
            gaps = distances(points, sight.images[rows], Norm.LINF)
            within = np.maximum(np.minimum(gaps * theta, theta), 1e-9)
        return sight.nearer(points, rows, self.norm, within)

    def _keep(self, sight: Sight, best: Floats, points: Floats, rows: Ints) -> Doubles:
        """Keep the points that are nearer than the best ones; the points' distances (m,)."""
        gaps = distances(points, sight.images[rows], self.norm)
        before = distances(best[rows], sight.images[rows], self.norm)
        better = gaps < before
        best[rows[better]] = points[better]
        least = np.full(len(best), np.inf)
        least[rows] = np.minimum(gaps, before)
        sight.victim.note(least)
        return gaps

    def _noise(self, rng: np.random.Generator, count: int, size: int) -> Floats:
        """Directions (count, d) of length 1: Gaussian, or uniform in a cube."""
        if self.norm is Norm.LINF:
            noise = 2 * rng.random((count, size), dtype=np.float32) - 1
        else:
            noise = rng.standard_normal((count, size), dtype=np.float32)
        return np.asarray(noise / np.linalg.norm(noise, axis=1, keepdims=True), np.float32)

    def _ways(
        self, sight: Sight, points: Floats, rows: Ints, noise: Floats, probes: Doubles
    ) -> Floats:
        """Estimates (m, d) of the direction into the adversarial side, by equation 16: the mean of
        the noise, each weighted by its label (1 or -1) less the mean label."""
        ways = np.empty_like(points)
        few = max(1, _TOGETHER // len(noise))
        for first in range(0, len(rows), few):
            part = slice(first, first + few)
            here, reach = points[part], probes[part, None, None].astype(np.float32)
            tried = noise[None] * reach
            tried += here[:, None, :]
            np.clip(tried, 0, 1, out=tried)
            flat = tried.reshape(-1, tried.shape[2])
            reached = sight.reached(flat, np.repeat(rows[part], len(noise)))
            signs = np.where(reached, 1.0, -1.0).reshape(len(here), -1)
            means = signs.mean(axis=1, keepdims=True)
            # Where all labels agree their sign alone is left.
            weights = np.where(np.abs(means) == 1, signs, signs - means).astype(np.float32)
            ways[part] = (weights[:, None, :] @ tried)[:, 0] - weights.sum(axis=1)[:, None] * here
        if self.norm is Norm.LINF:
            return np.sign(ways)
        lengths = np.linalg.norm(ways, axis=1, keepdims=True)
        return np.asarray(ways / np.maximum(lengths, np.float32(1e-30)))


def _jumped(sight: Sight, points: Floats, rows: Ints, ways: Floats, reach: Doubles) -> Floats:
    """The points moved along `ways` (m, d) by `reach` (m,), or the half, the quarter and so on of
    it: the first that is adversarial. A point for which none is stays."""
    points, reach = points.copy(), reach.copy()
    left = np.arange(len(rows))
    for _ in range(_HALVINGS):
        if not len(left):
            break
        tried = points[left] + reach[left, None].astype(np.float32) * ways[left]
        tried = np.asarray(np.clip(tried, 0, 1), np.float32)
        reached = sight.reached(tried, rows[left])
        points[left[reached]] = tried[reached]
        left = left[~reached]
        reach[left] /= 2
    return points
