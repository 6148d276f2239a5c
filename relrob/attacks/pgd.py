"""Projected gradient descent with restarts (Madry et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.losses import cross_entropy, seeds_of
from relrob.attacks.parameters import positive, whole
from relrob.attacks.projection import Around, check_norm, steepest
from relrob.attacks.restarts import restarted
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats, Ints
from relrob.domain.region import Norm


@dataclass(frozen=True)
class Pgd:
    """x' = P(x + step u), u the steepest unit move of the cross-entropy in `norm`, P the way back
    into the ball of radius `eps` (pixel units) and into [0,1].

    `step`: 0 stands for 2.5 eps / steps (Madry et al. 2018, Sec. 5). `restarts`: runs, each from a
    random image of the ball where `random` is true; an image whose run succeeded on the runtime is
    not run again. `norm`: linf or l2.
    """

    eps: float = 0.1
    step: float = 0.0
    steps: int = 40
    restarts: int = 1
    random: bool = True
    norm: Norm = Norm.LINF

    def __post_init__(self) -> None:
        check_norm(self.norm)
        positive("eps", self.eps, most=1 if self.norm is Norm.LINF else float("inf"))
        whole("steps", self.steps)
        whole("restarts", self.restarts)
        if self.step:
            positive("step", self.step)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """`steps` passes a restart for each image that has not been broken, and one query."""
        length = self.step or 2.5 * self.eps / self.steps
        loss = cross_entropy(goal)

        def one_run(rows: Ints) -> list[Floats]:
            around = Around(images[rows], self.eps, self.norm)
            here = around.drawn(rng) if self.random else images[rows]
            for _ in range(self.steps):
                seeds, _ = seeds_of(loss, rows)
                _, gradients = victim.pulled(here, rows, seeds)
                moves = np.float32(length) * steepest(gradients, self.norm)
                here = around.nearest(here + np.asarray(moves, np.float32))
            return [here]

        return restarted(victim, images, goal, self.norm, [one_run] * self.restarts)
