"""Decoupled direction and norm: the gradient gives the direction, and the radius shrinks while the
image is adversarial and grows while it is not (Rony et al. 2019, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.losses import cross_entropy, seeds_of
from relrob.attacks.parameters import positive, whole, within
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.region import Norm


@dataclass(frozen=True)
class Ddn:
    """delta moves by the step length along the gradient of the cross-entropy, and is then brought
    to length radius; the radius is times 1 - `gamma` where x + delta is adversarial, times 1 +
    `gamma` where it is not.

    `start`: the first radius. The step length falls from 1 to 0.01 as a half cosine over the steps.
    `levels`: of the pixels, to whose grid each try is rounded (256 in the paper), or 0 for none.
    """

    steps: int = 100
    gamma: float = 0.05
    start: float = 1.0
    levels: int = 0
    norm: ClassVar[Norm] = Norm.L2

    def __post_init__(self) -> None:
        whole("steps", self.steps)
        within("gamma", self.gamma, 1e-6, 0.999)
        positive("start", self.start)
        whole("levels", self.levels, least=0)
        if self.levels == 1:
            whole("levels", self.levels, least=2)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """The nearest adversarial try of each image, else its last; a pass forward and backward a
        step."""
        rows = np.arange(len(images))
        at, best, least = images.copy(), images.copy(), np.full(len(images), np.inf)
        radius = np.full(len(images), self.start)
        most = _length(np.maximum(images, 1 - images))
        for step in range(self.steps):
            seeds, _ = seeds_of(cross_entropy(goal), rows)
            logits, gradients = victim.pulled(at, rows, seeds)
            won = goal.reached(victim.judged(logits, at, rows))
            moves = at - images
            length = _length(moves)
            better = won & (length < least)
            best[better], least[better] = at[better], length[better]
            victim.note(least)
            rate = 0.01 + 0.99 * (1 + np.cos(np.pi * step / self.steps)) / 2
            moves = np.asarray(moves + np.float32(rate) * _unit(gradients, rng), np.float32)
            radius = np.minimum(radius * np.where(won, 1 - self.gamma, 1 + self.gamma), most)
            moves *= (radius / np.maximum(_length(moves), 1e-12)).astype(np.float32)[:, None]
            at = self._rounded(np.asarray(images + moves, np.float32))
        return np.where(np.isinf(least)[:, None], at, best)

    def _rounded(self, images: Floats) -> Floats:
        if self.levels:
            most = np.float32(self.levels - 1)
            images = np.asarray(np.rint(images * most) / most, np.float32)
        return np.asarray(np.clip(images, 0.0, 1.0), np.float32)


def _length(moves: Floats) -> Doubles:
    return np.asarray(np.sqrt(np.einsum("ij,ij->i", moves, moves, dtype=np.float64)))


def _unit(gradients: Floats, rng: np.random.Generator) -> Floats:
    """Of length 1 each; a random direction where there is no gradient."""
    flat = np.flatnonzero(~(_length(gradients) > 0))
    if len(flat):
        gradients = gradients.copy()
        gradients[flat] = rng.standard_normal((len(flat), gradients.shape[1]), np.float32)
    return gradients / _length(gradients).astype(np.float32)[:, None]
