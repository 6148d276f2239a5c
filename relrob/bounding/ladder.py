"""Linear bounds (`relrob.bounding.linear`) over the parts of a ladder.

A part's directions are its free features, their moves the hull { z in [0,1]^f : costs.z <= room }, whose extreme is a fractional
knapsack. Parts after the whole ladder bound only the neurons that the whole ladder left undecided.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

import numpy as np

from relrob.bounding.linear import At, LinearBounds, Margins, PreActivations, Root
from relrob.bounding.part import Part
from relrob.bounding.slopes import optimised
from relrob.domain.arrays import Doubles
from relrob.networks.enclosure import Enclosure
from relrob.networks.folded import hull_maximum
from relrob.regions.ladder import RungSet


@final
@dataclass(frozen=True, eq=False)
class _Budgeted:
    """Free features: `costs` (f,) > 0, float64, and what is left of the radius."""

    costs: Doubles
    room: float

    def maximum(self, gains: Doubles) -> Doubles:
        """A fractional knapsack a column: (f, n) -> (n,)."""
        return hull_maximum(gains, self.costs, self.room)

    def extreme(self, gains: Doubles) -> Doubles:
        """The knapsack's own z (f,)."""
        order = np.argsort(-np.maximum(gains, 0.0) / self.costs, kind="stable")
        spent = self.costs[order]
        moves = np.zeros_like(gains)
        moves[order] = np.clip((self.room - (np.cumsum(spent) - spent)) / spent, 0.0, 1.0)
        return np.where(gains > 0, moves, 0.0)


@final
class LadderBounds:
    """Bounds of one enclosed network on the parts of one ladder, for one label."""

    def __init__(self, enclosure: Enclosure, rungs: RungSet, label: int) -> None:
        self.enclosure, self.rungs, self.label = enclosure, rungs, label
        self._linear = LinearBounds(enclosure, label)
        first = enclosure.layers[0]
        base = rungs.base.astype(np.float64)
        self._base = base @ first.weights + first.bias
        change = rungs.moved.astype(np.float64) - base[rungs.axes]
        self._moves: Doubles = np.einsum("gk,gkn->gn", change, first.weights[rungs.axes])
        one = rungs.denominator
        self._costs = np.array([float(Fraction(cost, one)) for cost in rungs.costs])
        self._largest = base.copy()
        self._largest[rungs.axes.ravel()] = np.maximum(base[rungs.axes], rungs.moved).ravel()
        self._reach = 3 * (self._largest @ first.size) + np.abs(first.bias)
        self._roots: list[Root] = []

    def margins(self, part: Part, falls: tuple[Doubles, ...] | None = None) -> Margins:
        """Bounds over all points of the part, `slopes` (F,) over all features; infinite where float32 may overflow. `falls`: of
        each hidden layer, slopes in [0, 1] of the lines below neurons that may change sign (n,)."""
        found = self._linear.margins(self.at(part), self._roots, falls)
        self._keep(part, found.every)
        steep = np.zeros(self.rungs.features)
        steep[list(part.free)] = found.slopes
        return replace(found, slopes=steep)

    def falls(self, part: Part, found: Margins) -> tuple[Doubles, ...]:
        """Optimised slopes for the part whose bounds are `found`."""
        return optimised(self._linear, self.at(part), found)

    def neurons(self, part: Part) -> tuple[PreActivations, ...]:
        """Bounds of every layer's pre-activations over all points of the part, the last layer's (the outputs) included."""
        every = self._linear.neurons(self.at(part), self._roots)
        self._keep(part, every)
        return every

    def at(self, part: Part) -> At:
        """The part as the first layer sees it."""
        free = list(part.free)
        room = min(part.room, sum(self.rungs.costs[g] for g in free))
        hull = _Budgeted(self._costs[free], float(Fraction(room, self.rungs.denominator)))
        start = self._base + self._moves[list(part.moved)].sum(axis=0)
        return At(start, self._moves[free], hull, self._largest, self._reach)

    def _keep(self, part: Part, every: tuple[PreActivations, ...]) -> None:
        """Remember the bounds of the whole ladder."""
        if not self._roots and part.count == self.rungs.count:
            self._roots = self._linear.roots(every)
