"""Decision-based attacks: they see labels alone. Their starts, and the way back to the boundary.

No random number depends on the other images of a call: those of a step are drawn once and serve
every image, whichever of them are still under attack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from relrob.attacks.attack import distances
from relrob.attacks.goal import Goal
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.record import NO_START
from relrob.domain.region import Norm

# Starts: uniform noise alone, as ART draws it; or other pictures after it where it misses.
STARTS: Final = ("any", "uniform")
# Pictures that are tried after uniform noise.
_OTHERS: Final = 100
# One restart: from the rows under attack (m,) to (points (n, d), is each adversarial? (n,)).
Run = Callable[[Ints, np.random.Generator], tuple[Floats, Bools]]


@dataclass(frozen=True, eq=False)
class Sight:
    """What a decision-based attack sees of a network: whether an image meets the goal.

    `images` (n, d): those under attack.
    """

    victim: Victim
    goal: Goal
    images: Floats

    def reached(self, candidates: Floats, rows: Ints) -> Bools:
        """Do the candidates (m, d) for the images `rows` (m,) meet the goal? (m,)."""
        return self.goal.reached(self.victim.labels(candidates, rows), rows)

    def starts(
        self, rng: np.random.Generator, draws: int, kind: str, rows: Ints
    ) -> tuple[Floats, Bools]:
        """(images (n, d) to start from, was one found? (n,)) for the images `rows`; for the others
        the images themselves.

        The first of `draws` images of uniform noise that meets the goal, as ART has it. Where there
        is none, "any" also tries noise in blocks, flat greys and the negative, and for a target the
        nearest image of the call that has its label.
        """
        points, found = self.images.copy(), np.zeros(len(self.images), np.bool_)
        for picture in self._pictures(rng, draws, kind):
            left = rows[~found[rows]]
            if not len(left):
                break
            candidates = picture(left)
            reached = self.reached(candidates, left)
            points[left[reached]], found[left[reached]] = candidates[reached], True
        left = rows[~found[rows]]
        if kind == "any" and self.goal.targets is not None and len(left):
            self._borrowed(points, found, left, self.goal.targets)
        return points, found

    def _pictures(
        self, rng: np.random.Generator, draws: int, kind: str
    ) -> list[Callable[[Ints], Floats]]:
        """Functions from rows (m,) to candidates (m, d), in the order in which they are tried."""
        shape, size = self.victim.image_shape, self.images.shape[1]
        seeds = rng.integers(2**62, size=draws + _OTHERS)

        def noise(seed: int) -> Callable[[Ints], Floats]:
            return lambda rows: _wide(
                np.random.default_rng(seed).random((size,), dtype=np.float32), rows
            )

        def blocks(seed: int, side: int) -> Callable[[Ints], Floats]:
            return lambda rows: _wide(_blocks(np.random.default_rng(seed), shape, side), rows)

        found = [noise(int(seed)) for seed in seeds[:draws]]
        if kind == "any":
            found.append(lambda rows: np.float32(1) - self.images[rows])
            sides = [max(1, min(shape[:2]) // part) for part in (2, 4, 8, 14)]
            found += [
                blocks(int(seed), sides[number % len(sides)])
                for number, seed in enumerate(seeds[draws:])
            ]
        return found

    def _borrowed(self, points: Floats, found: Bools, rows: Ints, targets: Ints) -> None:
        """Give images without a start the nearest of the call that has their target's label."""
        each = np.arange(len(self.images))
        labels = self.victim.labels(self.images, each)
        for row in rows:
            there = np.flatnonzero(labels == targets[row])
            if len(there):
                gaps = np.linalg.norm(self.images[there] - self.images[row], axis=1)
                points[row], found[row] = self.images[there[int(gaps.argmin())]], True

    def nearer(self, points: Floats, rows: Ints, norm: Norm, within: Doubles) -> Floats:
        """Adversarial points (m, d) of the images `rows`, moved towards these by bisection.

        L2: along the straight line, to `within` (m,) of its length. L-infinity: by clipping to a
        ball around the image, to `within` of its radius. Every point that comes back was seen
        to meet the goal. Source: Chen et al. 2020, algorithm 1.
        """
        images, points = self.images[rows], points.copy()
        far = points.copy()
        high = distances(points, images, norm) if norm is Norm.LINF else np.ones(len(rows))
        low = np.zeros(len(rows))
        while len(open_ := np.flatnonzero(high - low > within)):
            middle = (low[open_] + high[open_]) / 2
            some = _between(images[open_], far[open_], middle, norm)
            reached = self.reached(some, rows[open_])
            points[open_[reached]] = some[reached]
            high[open_[reached]], low[open_[~reached]] = middle[reached], middle[~reached]
        return points


def closest(sight: Sight, restarts: int, run: Run, rng: np.random.Generator, norm: Norm) -> Floats:
    """Of so many restarts the nearest adversarial image of each (n, d), and the image itself where
    there is none, or where it is adversarial already: it costs one query. Every restart has random
    numbers of its own."""
    images, every = sight.images, np.arange(len(sight.images))
    done = sight.reached(images, every)
    kept, least = images.copy(), np.where(done, 0.0, np.inf)
    sight.victim.note(least)
    for seed in rng.integers(2**62, size=restarts):
        points, found = run(every[~done], np.random.default_rng(int(seed)))
        gaps = np.where(found, distances(points, images, norm), np.inf)
        better = gaps < least
        kept[better], least[better] = points[better], gaps[better]
    sight.victim.remark(np.flatnonzero(np.isinf(least)), NO_START)
    return kept


def _between(images: Floats, points: Floats, share: Doubles, norm: Norm) -> Floats:
    """The point at `share` of the line, or the point clipped to the ball of radius `share`."""
    if norm is Norm.LINF:
        reach = share[:, None].astype(np.float32)
        return np.clip(np.clip(points, images - reach, images + reach), 0, 1)
    moved = images + share[:, None].astype(np.float32) * (points - images)
    return np.asarray(np.clip(moved, 0, 1), np.float32)


def _wide(picture: Floats, rows: Ints) -> Floats:
    return np.repeat(picture[None, :], len(rows), axis=0)


def _blocks(rng: np.random.Generator, shape: tuple[int, int, int], side: int) -> Floats:
    """Noise (d,) that is the same in every square of so many pixels, each channel apart; half of
    the time it is 0 or 1."""
    height, width, channels = shape
    grid = rng.random((-(-height // side), -(-width // side), channels), dtype=np.float32)
    grid = np.rint(grid) if rng.random() < 0.5 else grid
    tall = np.repeat(np.repeat(grid, side, axis=0), side, axis=1)
    return np.ascontiguousarray(tall[:height, :width]).reshape(-1)
