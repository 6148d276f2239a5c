"""APGD-CE and APGD-T, the gradient attacks of AutoAttack (Croce & Hein 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relrob.attacks.apgd_run import AutoPgd
from relrob.attacks.goal import Goal
from relrob.attacks.losses import cross_entropy, dlr
from relrob.attacks.parameters import positive, whole
from relrob.attacks.projection import Around, check_norm
from relrob.attacks.restarts import Run, restarted
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Floats, Ints
from relrob.domain.region import Norm
from relrob.errors import UsageError

# The DLR loss compares the first logit with the third and the fourth.
_LEAST_CLASSES = 4


@dataclass(frozen=True)
class ApgdCe:
    """Auto-PGD on the cross-entropy, in the ball of radius `eps` (pixel units) in `norm`.

    `restarts`: runs from other random images of the ball, for what is not broken. `rho`: the share
    of steps that must improve the loss, or the step is halved.
    """

    eps: float = 0.1
    steps: int = 100
    restarts: int = 1
    rho: float = 0.75
    norm: Norm = Norm.LINF

    def __post_init__(self) -> None:
        _check(self.eps, self.steps, self.restarts, self.rho, self.norm)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """`steps` + 1 passes a restart for each image that has not been broken, and up to two
        queries."""
        auto = AutoPgd(self.steps, self.rho)

        def one_run(rows: Ints) -> list[Floats]:
            around = Around(images[rows], self.eps, self.norm)
            return auto.run(victim, around, rows, goal, cross_entropy(goal), rng)

        return restarted(victim, images, goal, self.norm, [one_run] * self.restarts)


@dataclass(frozen=True)
class ApgdT:
    """Auto-PGD on the targeted DLR loss, for one target class after the other: those with the
    largest logits of the clean image first.

    `targets`: how many; at most all other classes, and the goal's own where that names one for each
    image. Otherwise as `ApgdCe`. `run` raises UsageError for fewer than 4 classes.
    """

    eps: float = 0.1
    steps: int = 100
    restarts: int = 1
    targets: int = 9
    rho: float = 0.75
    norm: Norm = Norm.LINF

    def __post_init__(self) -> None:
        _check(self.eps, self.steps, self.restarts, self.rho, self.norm)
        whole("targets", self.targets)

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """`steps` + 1 passes a target and restart for each image that has not been broken, and up
        to two queries."""
        if victim.classes < _LEAST_CLASSES:
            raise UsageError(
                f"apgd-t on {victim.classes} classes", "4 classes or more", "--attack apgd-ce"
            )
        auto = AutoPgd(self.steps, self.rho)
        ranked = _ranked(victim, images, goal)[:, : self.targets]

        def towards(targets: Ints) -> Run:
            def one_run(rows: Ints) -> list[Floats]:
                around = Around(images[rows], self.eps, self.norm)
                return auto.run(victim, around, rows, goal, dlr(goal.labels, targets), rng)

            return one_run

        runs = [towards(column) for column in ranked.T for _ in range(self.restarts)]
        return restarted(victim, images, goal, self.norm, runs)


def _ranked(victim: Victim, images: Floats, goal: Goal) -> Ints:
    """Target classes (n, k) of each image, the first ones first."""
    if goal.targets is not None:
        return goal.targets[:, None]
    logits = victim.logits(images, np.arange(len(images))).astype(np.float64)
    logits[np.arange(len(images)), goal.labels] = np.inf
    order: Ints = np.argsort(-logits, axis=1, kind="stable")[:, 1:]
    return order


def _check(eps: float, steps: int, restarts: int, rho: float, norm: Norm) -> None:
    check_norm(norm)
    positive("eps", eps, most=1 if norm is Norm.LINF else float("inf"))
    whole("steps", steps)
    whole("restarts", restarts)
    positive("rho", rho, most=1)
