"""A universal perturbation by ascent along the signs of gradients of batches (Shafahi et al. 2020,
as Matachana et al. 2020 use it)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.losses import Loss, cross_entropy, seeds_of
from relrob.attacks.parameters import positive, whole
from relrob.attacks.projection import inward
from relrob.attacks.universal import Fitted, added
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.region import Norm
from relrob.networks.evaluator import labels


@dataclass(frozen=True)
class SgdUap:
    """delta <- clip(delta + `step` eps sign(g), -eps, eps) for each batch, g the gradient by delta
    of sum_i min(CE(f(clip(x_i + delta, 0, 1)), y_i), `beta`): an image that is wrong enough pulls
    no more, nor does a pixel that the clip holds.

    With targets, y_i is the target, and the loss goes down: an image whose target is farther than
    `beta` does not pull. `restarts` shuffle the images anew; the perturbation that fools most is
    kept. Source: Shafahi et al. 2020, algorithm 1; the constants are those of the code that
    Matachana et al. published.
    """

    eps: float = 10 / 255
    epochs: int = 10
    batch: int = 250
    step: float = 0.8
    beta: float = 10.0
    restarts: int = 1
    norm: ClassVar[Norm] = Norm.LINF

    def __post_init__(self) -> None:
        positive("eps", self.eps, most=1)
        positive("step", self.step, most=2)
        positive("beta", self.beta)
        for name in ("epochs", "batch", "restarts"):
            whole(name, getattr(self, name))

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """The images with the perturbation that is fitted on them."""
        return added(images, self.fit(victim, images, goal, rng).perturbation)

    def fit(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Fitted:
        """One pass forward and backward an image and epoch. It always takes all epochs, and is
        `converged` where all images meet the goal."""
        everyone = np.arange(len(images))
        best, most = np.zeros(images.shape[1], np.float32), -1.0
        for _ in range(self.restarts):
            delta = self._fit_once(victim, images, goal, rng)
            found = labels(victim.logits(added(images, delta), everyone))
            fooled = float(goal.reached(found).mean()) if len(images) else 0.0
            if fooled > most:
                best, most = delta, fooled
        return Fitted(best, most, most == 1.0, self.epochs * self.restarts)

    def _fit_once(
        self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator
    ) -> Floats:
        loss = clamped(cross_entropy(goal), self.beta)
        delta = np.zeros(images.shape[1], np.float32)
        move, bound = np.float32(self.step * self.eps), inward(self.eps)
        for _ in range(self.epochs):
            order = rng.permutation(len(images))
            for first in range(0, len(order), self.batch):
                rows = order[first : first + self.batch]
                moved = images[rows] + delta
                seeds, _ = seeds_of(loss, rows)
                _, gradients = victim.pulled(np.clip(moved, 0.0, 1.0), rows, seeds)
                gradients = np.where((moved >= 0) & (moved <= 1), gradients, 0)
                pull = np.sign(gradients.sum(axis=0, dtype=np.float64)).astype(np.float32)
                delta = np.clip(delta + move * pull, -bound, bound)
        return delta


def clamped(loss: Loss, most: float) -> Loss:
    """The loss, constant where its size is above `most`: no image beyond pulls."""

    def held(logits: Floats, rows: Ints) -> tuple[Doubles, Floats]:
        value, slope = loss(logits, rows)
        inside = np.abs(value) <= most
        return np.clip(value, -most, most), slope * inside[:, None].astype(np.float32)

    return held
