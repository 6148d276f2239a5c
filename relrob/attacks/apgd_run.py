"""One run of Auto-PGD (Croce & Hein 2020, Algorithm 1): momentum, and a step that is halved where
the loss stops to grow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.losses import Loss, seeds_of
from relrob.attacks.projection import Around, steepest
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.networks.evaluator import labels

# The share of a new move in the next image; the last move has the rest.
_MOMENTUM = 0.75


@dataclass(frozen=True)
class AutoPgd:
    """The settings of a run. `rho`: the share of steps since the last checkpoint that must improve
    the loss."""

    steps: int
    rho: float

    def checkpoints(self) -> list[int]:
        """The steps after which the step size is looked at, the first after 22 %, the gaps 3 %
        shorter each, and 6 % at least.

        >>> AutoPgd(100, 0.75).checkpoints()
        [22, 41, 57, 70, 80, 87, 93, 99]
        """
        gap, at, found = max(int(0.22 * self.steps), 1), 0, []
        while at + gap <= self.steps:
            at += gap
            found.append(at)
            gap = max(gap - max(int(0.03 * self.steps), 1), int(0.06 * self.steps), 1)
        return found

    def run(
        self,
        victim: Victim,
        around: Around,
        rows: Ints,
        goal: Goal,
        loss: Loss,
        rng: np.random.Generator,
    ) -> list[Floats]:
        """Two candidates (m, d) for each image: the last iterate that reached the goal on the model
        (else the best), and the one of the largest loss."""
        at = _State(around, around.drawn(rng, outermost=True))
        at.take(*_looked(victim, at.here, rows, goal, loss))
        checks = self.checkpoints()
        before = 0
        for step in range(1, self.steps + 1):
            at.move(1.0 if step == 1 else _MOMENTUM)
            at.take(*_looked(victim, at.here, rows, goal, loss))
            if step in checks:
                at.check(step - before, self.rho)
                before = step
        return [at.reached, at.best]


def _looked(
    victim: Victim, here: Floats, rows: Ints, goal: Goal, loss: Loss
) -> tuple[Doubles, Floats, Bools]:
    """(losses, gradients, was the goal reached on the model) of some candidates."""
    seeds, values = seeds_of(loss, rows)
    logits, gradients = victim.pulled(here, rows, seeds)
    return np.concatenate(values), gradients, goal.reached(labels(logits), rows)


@final
class _State:
    """Iterates of a batch. Each image has a step of its own."""

    def __init__(self, around: Around, start: Floats) -> None:
        count = len(start)
        self._around = around
        self.here, self._last = start, start
        self.best, self.reached = start.copy(), start.copy()
        self._steps = np.full((count, 1), 2.0 * around.eps, np.float32)
        self._gradients = self._best_gradients = np.zeros_like(start)
        self._best = np.full(count, -np.inf)
        self._losses: list[Doubles] = []
        self._ever = np.zeros(count, bool)
        # At the last checkpoint: the best loss, and was the step halved? At first it counts as so.
        self._checked, self._halved = self._best, np.ones(count, bool)

    def take(self, losses: Doubles, gradients: Floats, reached: Bools) -> None:
        """Take in the losses and gradients of the iterates."""
        losses = np.where(np.isnan(losses), -np.inf, losses)
        better = (losses > self._best) | (not self._losses)
        self._gradients = gradients
        self._best_gradients = np.where(better[:, None], gradients, self._best_gradients)
        self._best = np.where(better, losses, self._best)
        self.best = np.where(better[:, None], self.here, self.best)
        self._ever |= reached
        kept = np.where(self._ever, reached, better)
        self.reached = np.where(kept[:, None], self.here, self.reached)
        if not self._losses:
            self._checked = self._best
        self._losses.append(losses)

    def move(self, share: float) -> None:
        """One step with momentum: `share` of the new move, and the rest of the last one."""
        norm, nearest = self._around.norm, self._around.nearest
        ahead = nearest(self.here + self._steps * steepest(self._gradients, norm))
        first, rest = np.float32(share), np.float32(1 - share)
        moved = nearest(self.here + first * (ahead - self.here) + rest * (self.here - self._last))
        self._last, self.here = self.here, moved

    def check(self, gap: int, rho: float) -> None:
        """Halve the step, and go back to the best iterate, where fewer steps than rho improved the
        loss, or where it did not improve since the last checkpoint and the step was not halved
        there (conditions 1 and 2)."""
        window = np.stack(self._losses[-gap - 1 :])
        grown = (window[1:] > window[:-1]).sum(axis=0)
        stalled = ~self._halved & (self._checked >= self._best)
        halve = (grown <= rho * gap) | stalled
        self._checked, self._halved = self._best, halve
        self._steps = np.where(halve[:, None], self._steps / 2, self._steps)
        self.here = np.where(halve[:, None], self.best, self.here)
        self._gradients = np.where(halve[:, None], self._best_gradients, self._gradients)
