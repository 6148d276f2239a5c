"""The Square attack: random squares, kept where the loss grows (Andriushchenko et al. 2020), with
the schedule of AutoAttack (Croce and Hein 2020). It sees outputs, and no gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from relrob.attacks.attack import distances
from relrob.attacks.goal import Goal
from relrob.attacks.losses import Loss, cross_entropy, margin
from relrob.attacks.parameters import among, positive, whole
from relrob.attacks.projection import check_norm
from relrob.attacks.square_moves import L2Moves, LinfMoves, Moves
from relrob.attacks.squares import halved
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.record import NO_SIGNAL
from relrob.domain.region import Norm
from relrob.networks.evaluator import labels

LOSSES: Final = {"margin": margin, "ce": cross_entropy}
# Steps, of 10,000, after which the squares cover half as much (the paper, section 4.1).
_HALVED: Final = tuple(step / 10000 for step in (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000))
_SCHEDULE: Final = 10000
# Reports of the least distance in one restart.
_NOTES: Final = 50
# The most by which rounding to 8 bits moves a probability.
_ROUNDED: Final = 1 / 256


@dataclass(frozen=True)
class Square:
    """Perturbations of length `eps` in `norm`, in pixel units; the squares cover at first the share
    `first` of the image.

    `queries`: of one restart, an image. `loss`: "margin" or "ce", of the logits; outputs that are
    probabilities count by their logarithms. `rescale`: shrink the squares over `queries` and not
    over 10,000. Every image of a step sees the same square. A square under which the loss stays
    equal is kept, so that the attack walks over the plateaus of quantised outputs; the authors keep
    only a gain. An image whose loss no candidate changes has the remark "no signal": outputs that
    are labels alone have none, which is no sign of robustness.
    """

    eps: float = 0.1
    norm: Norm = Norm.LINF
    queries: int = 5000
    loss: str = "margin"
    first: float = 0.8
    rescale: bool = False
    restarts: int = 1

    def __post_init__(self) -> None:
        check_norm(self.norm)
        positive("eps", self.eps, 1 if self.norm is Norm.LINF else float("inf"))
        positive("first", self.first, 1)
        whole("queries", self.queries)
        whole("restarts", self.restarts)
        among("loss", self.loss, tuple(LOSSES))

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """All images query by query together; none changes the course of another."""
        score = _Score(victim, goal, LOSSES[self.loss](goal), images)
        moves = (LinfMoves if self.norm is Norm.LINF else L2Moves)(
            images, self.eps, victim.image_shape
        )
        best = images.copy()
        for seed in rng.integers(2**62, size=self.restarts):
            rows = np.flatnonzero(~score.won)
            if len(rows):
                self._restart(best, rows, score, moves, np.random.default_rng(int(seed)))
        victim.remark(np.flatnonzero(~score.won & ~score.moved), NO_SIGNAL)
        return best

    def _restart(
        self, best: Floats, rows: Ints, score: _Score, moves: Moves, rng: np.random.Generator
    ) -> None:
        """Move the images `rows` of `best` (n, d), until each is adversarial or has its queries."""
        best[rows] = moves.first(rng)[rows]
        losses = np.full(len(best), np.nan)
        losses[rows] = score.run(best[rows], rows)
        often = max(1, self.queries // _NOTES)
        for step in range(self.queries - 1):
            if step % often == 0:
                score.note(best, self.norm)
            rows = rows[~score.won[rows]]
            if not len(rows):
                break
            candidates = moves.moved(best[rows], rows, self.covered(step), rng)
            seen = score.run(candidates, rows)
            better = (seen >= losses[rows]) | score.won[rows]
            best[rows[better]], losses[rows[better]] = candidates[better], seen[better]
        score.note(best, self.norm)

    def covered(self, step: int) -> float:
        """The share of the image under the square of a step, from 0 on."""
        return halved(self.first, step / (self.queries if self.rescale else _SCHEDULE), _HALVED)


@final
class _Score:
    """The loss of candidates. `won` (n,): was a candidate of the image, or itself, adversarial?
    `moved` (n,): was the loss of a candidate another than the image's own?"""

    def __init__(self, victim: Victim, goal: Goal, loss: Loss, images: Floats) -> None:
        self._victim, self._images, self._goal, self._loss = victim, images, goal, loss
        every = np.arange(len(images))
        outputs = victim.outputs(images, every)
        self._logarithms = _probabilities(outputs)
        self.won, self.moved = goal.reached(labels(outputs)), np.zeros(len(images), np.bool_)
        self._clean = self._losses(outputs, every)

    def _losses(self, outputs: Floats, rows: Ints) -> Doubles:
        if self._logarithms:
            outputs = np.log(np.maximum(outputs, np.finfo(np.float32).tiny))
        return self._loss(outputs, rows)[0]

    def run(self, candidates: Floats, rows: Ints) -> Doubles:
        """Losses (m,) of candidates (m, d), large where the attack does well."""
        outputs = self._victim.outputs(candidates, rows)
        losses = self._losses(outputs, rows)
        self.won[rows] = self._goal.reached(labels(outputs), rows)
        self.moved[rows] |= losses != self._clean[rows]
        return losses

    def note(self, best: Floats, norm: Norm) -> None:
        """Report the distances of the images that are adversarial among `best` (n, d)."""
        self._victim.note(np.where(self.won, distances(best, self._images, norm), np.inf))


def _probabilities(outputs: Floats) -> bool:
    """Are these outputs (n, classes) probabilities, up to rounding to 8 bits?"""
    near = np.abs(outputs.sum(axis=1) - 1) < _ROUNDED * outputs.shape[1]
    return bool((near & (outputs >= 0).all(axis=1)).all())
