"""Carlini and Wagner's L2 attack (2017), with the line search of ART."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from relrob.attacks.goal import Goal
from relrob.attacks.losses import margin, seeds_of
from relrob.attacks.parameters import among, positive, whole, within
from relrob.attacks.victim import Victim
from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.region import Norm

# So near to 1 that arctanh of a black or white pixel is finite.
_SMOOTH: Final = 0.999999
# A larger weight of the margin is not tried.
_MOST: Final = 1e11


@dataclass(frozen=True)
class CarliniWagner:
    """min ||x' - x||^2 + c max(kappa - margin, 0) over x' = (tanh(w) + 1) / 2, where the margin is
    the largest other logit minus the label's (with targets: the target's minus the largest other).

    `confidence`: kappa. `steps`: of descent for each c, along the gradient; its length begins at
    `rate`, is halved (`halvings` times at most) until the objective falls, and doubled
    (`doublings`) while it falls on. `searches`: values of c; the first is `const`, then twice as
    much until the margin is reached.

    `form`: "art": as ART 1.20 has it, where the gradient of the margin stays after kappa is
    reached, and c is halved after a first success but no more after a failure; "paper": the
    objective's own gradient, and bisection of c. The nearest image that reaches kappa is kept, else
    the image itself.
    """

    confidence: float = 0.0
    steps: int = 10
    searches: int = 10
    const: float = 0.01
    rate: float = 0.01
    halvings: int = 5
    doublings: int = 5
    form: str = "art"
    norm: ClassVar[Norm] = Norm.L2

    def __post_init__(self) -> None:
        within("confidence", self.confidence, 0, 1e6)
        for name in ("steps", "searches", "halvings"):
            whole(name, getattr(self, name))
        whole("doublings", self.doublings, least=0)
        positive("const", self.const)
        positive("rate", self.rate)
        among("form", self.form, ("art", "paper"))

    def run(self, victim: Victim, images: Floats, goal: Goal, rng: np.random.Generator) -> Floats:
        """All images at once; a step costs a pass forward and backward, and up to `halvings` +
        `doublings` passes forward."""
        objective = _Objective(victim, images, goal, self.confidence, self.form == "paper")
        count = len(images)
        weight, below = np.full(count, self.const), np.zeros(count)
        above = np.full(count, np.inf)
        going = np.arange(count)
        for _ in range(self.searches):
            if not len(going):
                break
            won = self._descend(objective, going, weight[going])
            victim.note(np.sqrt(objective.least))
            before = weight[going]
            above[going[won]] = np.minimum(above[going[won]], before[won])
            after = self._next(before, below[going], above[going], won)
            lost = going[~won]
            below[lost] = after[~won] if self.form == "art" else before[~won]
            weight[going] = after
            # The same c again descends to the same images.
            going = going[(after != before) & (after < _MOST)]
        return objective.best

    def _next(self, weight: Doubles, below: Doubles, above: Doubles, won: Bools) -> Doubles:
        """The next c of each image, from its last, the largest that failed and the least that
        succeeded. ART takes the next c for the one that failed, and forgets the other."""
        if self.form == "paper":
            middle = (np.where(won, below, weight) + np.minimum(above, _MOST)) / 2
            return np.where(np.isinf(above), 2 * weight, middle)
        failed = np.where(np.isinf(above), 2 * weight, weight + (weight - below) / 2)
        return np.where(won, (below + weight) / 2, failed)

    def _descend(self, objective: _Objective, rows: Ints, weight: Doubles) -> Bools:
        """Descend from the images `rows`; (m,): was the margin ever reached?"""
        spot = objective.start[rows]
        at, rate = objective.images[rows], np.full(len(rows), self.rate)
        won = np.zeros(len(rows), np.bool_)
        for _ in range(self.steps):
            loss, slope, reached = objective.pulled(at, spot, rows, weight)
            won |= reached
            best, rate = self._search(objective, spot, -slope, rows, weight, loss, rate)
            spot = np.asarray(spot - best[:, None].astype(np.float32) * slope, np.float32)
            at = np.where(best[:, None] > 0, pixels(spot), at)
        return won | objective.kept(at, rows)

    def _search(
        self,
        objective: _Objective,
        spot: Floats,
        direction: Floats,
        rows: Ints,
        weight: Doubles,
        loss: Doubles,
        rate: Doubles,
    ) -> tuple[Doubles, Doubles]:
        """(the best length (m,) of a step, 0 where none lowers the objective; the next length)."""
        best, lowest, now, rate = np.zeros(len(rows)), loss.copy(), loss.copy(), rate.copy()
        halved = np.zeros(len(rows), np.int64)

        def tried(ask: Ints) -> None:
            moved = spot[ask] + rate[ask].astype(np.float32)[:, None] * direction[ask]
            tries = pixels(moved.astype(np.float32))
            now[ask] = objective.loss(tries, rows[ask], weight[ask])
            lower = ask[now[ask] < lowest[ask]]
            best[lower], lowest[lower] = rate[lower], now[lower]

        for _ in range(self.halvings):
            ask = np.flatnonzero(now >= loss)
            if not len(ask):
                break
            tried(ask)
            rate[ask] /= 2
            halved[ask] += 1
        rate *= 2
        for _ in range(self.doublings):
            ask = np.flatnonzero((halved == 1) & (now <= lowest))
            if not len(ask):
                break
            rate[ask] *= 2
            tried(ask)
        rate[halved == 1] /= 2
        return best, rate


@final
class _Objective:
    """Distance and margin of tries, and the nearest one (`best`, its squared distance `least`) that
    reaches the margin, and the goal on the network."""

    def __init__(
        self, victim: Victim, images: Floats, goal: Goal, kappa: float, clipped: bool
    ) -> None:
        self.images, self.best = images, images.copy()
        self.least: Doubles = np.full(len(images), np.inf)
        self.start: Floats = np.arctanh((images * 2 - 1) * np.float32(_SMOOTH))
        self._victim, self._goal, self._kappa, self._clipped = victim, goal, kappa, clipped
        self._margin = margin(goal)

    def loss(self, at: Floats, rows: Ints, weight: Doubles) -> Doubles:
        """The objective (m,)."""
        gain, _ = self._margin(self._victim.logits(at, rows), rows)
        return weight * np.maximum(self._kappa - gain, 0.0) + self._squares(at, rows)

    def pulled(
        self, at: Floats, spot: Floats, rows: Ints, weight: Doubles
    ) -> tuple[Doubles, Floats, Bools]:
        """(the objective, its gradient by w (m, d), is the margin reached?); keeps the best."""
        seeds, gains = seeds_of(self._margin, rows)
        logits, gradients = self._victim.pulled(at, rows, seeds)
        gain = np.concatenate(gains)
        pull = weight * (gain < self._kappa) if self._clipped else weight
        slope = 2 * (at - self.images[rows]) - pull[:, None].astype(np.float32) * gradients
        slope = slope * (1 - np.square(np.tanh(spot))) / np.float32(2 * _SMOOTH)
        reached = self._keep(at, logits, gain, rows)
        loss = weight * np.maximum(self._kappa - gain, 0.0) + self._squares(at, rows)
        return loss, np.asarray(slope, np.float32), reached

    def kept(self, at: Floats, rows: Ints) -> Bools:
        """Do these reach the margin? Keeps the best."""
        logits = self._victim.logits(at, rows)
        return self._keep(at, logits, self._margin(logits, rows)[0], rows)

    def _keep(self, at: Floats, logits: Floats, gain: Doubles, rows: Ints) -> Bools:
        reached = gain >= self._kappa
        asked = np.flatnonzero(reached)
        found = self._victim.judged(logits[asked], at[asked], rows[asked])
        reached[asked] = self._goal.reached(found, rows[asked])
        squares = self._squares(at, rows)
        nearer = np.flatnonzero(reached & (squares < self.least[rows]))
        self.best[rows[nearer]], self.least[rows[nearer]] = at[nearer], squares[nearer]
        return reached

    def _squares(self, at: Floats, rows: Ints) -> Doubles:
        moves = at - self.images[rows]
        return np.asarray(np.einsum("ij,ij->i", moves, moves, dtype=np.float64))


def pixels(spot: Floats) -> Floats:
    """Images of w: (tanh(w) + 1) / 2."""
    return (np.tanh(spot) + np.float32(1)) / np.float32(2)
