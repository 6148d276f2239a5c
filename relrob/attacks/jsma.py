"""The Jacobian-based saliency map attack: two pixels at a time, for few changed pixels (Papernot et
al. 2016)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relrob.attacks.attack import distances
from relrob.attacks.goal import Goal
from relrob.attacks.losses import seeds_of, weighted
from relrob.attacks.parameters import among, within
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.region import Norm
from relrob.errors import UsageError


@dataclass(frozen=True)
class Jsma:
    """Adds `theta` to two pixel-channels, clipped to [0,1], until the image has its target label,
    or the share of changed pixel-channels is above `gamma`, or none can be changed any more.

    `mode`: "art": the two largest gradients of the target's logit; "papernot": the pair (p, q) with
    the largest -alpha beta, where alpha = dF_t/dp + dF_t/dq > 0 and beta = sum over the other
    logits of dF_j/dp + dF_j/dq < 0. Logits, not probabilities: those sum to 1, so that beta is
    -alpha. A negative `theta` darkens, and all signs turn.

    Without targets each image gets one at random, other than its label; it stops there, and an
    image of any other wrong label counts as found (as ART counts).
    """

    theta: float = 1.0
    gamma: float = 0.1
    mode: str = "art"
    norm: ClassVar[Norm] = Norm.L0

    def __post_init__(self) -> None:
        within("theta", self.theta, -1, 1)
        if self.theta == 0:
            raise UsageError("theta 0", "-1 to 1, not 0")
        within("gamma", self.gamma, 1e-9, 1)
        among("mode", self.mode, ("art", "papernot"))

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """A step of two pixels costs two passes ("papernot": three)."""
        rows = np.arange(len(images))
        wanted = goal.targets
        if wanted is None:
            wanted = (goal.labels + rng.integers(1, victim.classes, len(images))) % victim.classes
        at, changed = images.copy(), np.zeros(images.shape, np.bool_)
        least = np.full(len(images), np.inf)
        going = rows
        while len(going):
            found = victim.judged(victim.logits(at[going], going), at[going], going)
            won = goal.reached(found, going)
            least[going[won]] = distances(at[going[won]], images[going[won]], self.norm)
            victim.note(least)
            free = at < 1 if self.theta > 0 else at > 0
            open_ones = (found != wanted[going]) & free[going].any(axis=1)
            going = going[open_ones & (changed[going].mean(axis=1) <= self.gamma)]
            pairs, some = self._pairs(victim, at[going], going, wanted[going], free[going])
            victim.remark(going[~some], "no pair of pixels left")
            going, pairs = going[some], pairs[some]
            for chosen in pairs.T:
                changed[going, chosen] = True
                moved = at[going, chosen] + np.float32(self.theta)
                at[going, chosen] = np.clip(moved, 0.0, 1.0)
        return at

    def _pairs(
        self, victim: Victim, at: Floats, rows: Ints, wanted: Ints, free: Bools
    ) -> tuple[Ints, Bools]:
        """(pairs of pixel-channels (m, 2), or (m, 1) of one-pixel images; (m,): is there one?)."""
        sign = np.float32(np.sign(self.theta))
        one = np.eye(victim.classes, dtype=np.float32)[wanted]
        toward = sign * _gradients(victim, at, rows, one)
        if self.mode == "art":
            # A pixel that cannot be changed any more stands in for a second one where none is left.
            toward[~free] = -np.inf
            two = min(2, at.shape[1])
            pairs = np.argpartition(toward, -two, axis=1)[:, -two:]
            return pairs.astype(np.int64), np.ones(len(at), np.bool_)
        others = sign * _gradients(victim, at, rows, 1 - one)
        found = [
            best_pair(alpha, beta, np.flatnonzero(may))
            for alpha, beta, may in zip(toward, others, free, strict=True)
        ]
        some = np.array([each is not None for each in found], np.bool_)
        return np.array([each or (0, 0) for each in found], np.int64).reshape(-1, 2), some


def best_pair(alpha: Floats, beta: Floats, among_these: Ints) -> tuple[int, int] | None:
    """The pair of different pixels among these with the largest -(alpha_p + alpha_q) (beta_p +
    beta_q), where the first sum is above 0 and the second below; None where there is none.

    A pixel that two others surpass in both alpha and -beta can be replaced by one of them, so that
    only the two outermost staircases of the points (alpha, -beta) are paired.

    >>> best_pair(np.float32([1, 2, 0.5]), np.float32([-1, 0.5, -2]), np.arange(3))
    (0, 2)
    """
    gain, fall = alpha[among_these].astype(np.float64), -beta[among_these].astype(np.float64)
    kept = staircases(gain, fall, 2)
    gains, falls = gain[kept][:, None] + gain[kept], fall[kept][:, None] + fall[kept]
    value = np.where((gains > 0) & (falls > 0), gains * falls, -np.inf)
    np.fill_diagonal(value, -np.inf)
    if not len(kept) or not value.max() > -np.inf:
        return None
    first, second = sorted(np.unravel_index(int(value.argmax()), value.shape))
    return int(among_these[kept[first]]), int(among_these[kept[second]])


def staircases(one: Doubles, other: Doubles, count: int) -> Ints:
    """Points that fewer than `count` others surpass in both coordinates, and perhaps some more, in
    ascending order."""
    order = np.lexsort((-other, -one))
    kept: list[Ints] = []
    for _ in range(count):
        heights = other[order]
        before = np.maximum.accumulate(np.concatenate([[-np.inf], heights[:-1]]))
        outer = heights > before[: len(heights)]
        kept.append(order[outer])
        order = order[~outer]
    return np.sort(np.concatenate(kept))


def _gradients(victim: Victim, at: Floats, rows: Ints, weights: Floats) -> Floats:
    """Gradients (m, d) of the logits times the weights (m, classes)."""
    seeds, _ = seeds_of(weighted(weights), np.arange(len(at)))
    return victim.pulled(at, rows, seeds)[1]
