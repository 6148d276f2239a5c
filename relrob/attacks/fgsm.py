"""One step along the sign of the gradient (Goodfellow et al. 2015)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.losses import cross_entropy, seeds_of
from relrob.attacks.parameters import positive
from relrob.attacks.projection import Around
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats
from relrob.domain.region import Norm


@dataclass(frozen=True)
class Fgsm:
    """x' = clip(x + eps sign(dJ/dx), 0, 1), J the cross-entropy. `eps`: in pixel units, 0 to 1."""

    eps: float = 0.1
    norm: ClassVar[Norm] = Norm.LINF

    def __post_init__(self) -> None:
        positive("eps", self.eps, most=1)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """One pass forward and backward an image."""
        rows = np.arange(len(images))
        seeds, _ = seeds_of(cross_entropy(goal), rows)
        _, gradients = victim.pulled(images, rows, seeds)
        moved = np.asarray(images + np.float32(self.eps) * np.sign(gradients), np.float32)
        return Around(images, self.eps, self.norm).nearest(moved)
