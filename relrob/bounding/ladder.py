"""Linear bounds (`relrob.bounding.linear`) over the parts of a ladder.

The directions of a part are its free features. Their moves are the hull { z in [0,1]^f : costs.z <=
room }, whose support function is a fractional knapsack. Once the whole ladder is bounded, its parts
bound only the neurons that are unstable on the whole ladder. Where the largest pixel is the same at
every point of a part, the level of each pixel, moved or not, is known before any network runs, and
quantising the pixels deviates by nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import final

import numpy as np

from relrob.bounding.linear import LinearBounds, Margins, Root
from relrob.bounding.relaxation import PreActivations
from relrob.bounding.sets import At
from relrob.bounding.slopes import optimised
from relrob.domain.arrays import Doubles
from relrob.networks.enclosure import Deviation, Enclosure
from relrob.regions.hulls import KnapsackHull
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part


@dataclass(frozen=True, eq=False)
class _First:
    """The first layer on a ladder.

    `base` (n,): pre-activations of the clean image; `moves` (F, n): the change by each feature;
    `magnitude` (n,): of their terms; `deviation`: of the runtime.
    """

    base: Doubles
    moves: Doubles
    magnitude: Doubles
    deviation: Deviation


@final
class LadderBounds:
    """Bounds of one enclosed network on the parts of one ladder, for one label."""

    def __init__(self, enclosure: Enclosure, rungs: RungSet, label: int) -> None:
        self.enclosure, self.rungs, self.label = enclosure, rungs, label
        self._linear = LinearBounds(enclosure, label)
        self._costs = np.array([float(Fraction(cost, rungs.denominator)) for cost in rungs.costs])
        self._firsts: dict[float | None, _First] = {}
        self._roots: list[Root] = []

    def margins(self, part: Part, alphas: tuple[Doubles, ...] | None = None) -> Margins:
        """Bounds over all points of the part; infinite where float32 may overflow.

        `slopes` (F,): over all features, largest for those that change the largest pixel. `alphas`
        (n,) of each hidden layer: lower slopes in [0, 1] of neurons that may change sign.
        """
        largest, changing = self._maximum(part)
        found = self._linear.margins(self._at(part, largest), self._roots, alphas)
        self._keep(part, found.every)
        steep = np.zeros(self.rungs.features)
        steep[list(part.free)] = found.gains
        more = np.where(steep < 0, -1.0, 1.0) * (found.slopes.max(initial=0.0) + 1.0)
        steep[list(changing)] += more[list(changing)]
        return replace(found, gains=steep)

    def alphas(self, part: Part, found: Margins) -> tuple[Doubles, ...]:
        """Optimised alphas for the part whose bounds are `found`."""
        return optimised(self._linear, self.at(part), found)

    def neurons(self, part: Part) -> tuple[PreActivations, ...]:
        """Bounds of every layer's pre-activations over the part; the last layer's are the
        outputs."""
        every = self._linear.neurons(self.at(part), self._roots)
        self._keep(part, every)
        return every

    def at(self, part: Part) -> At:
        """The part as the first layer sees it."""
        return self._at(part, self._maximum(part)[0])

    def _at(self, part: Part, largest: float | None) -> At:
        """The part as the first layer sees it; `largest`: the one largest pixel, None for any."""
        free, first = list(part.free), self._first(largest)
        room = min(part.room, sum(self.rungs.costs[g] for g in free))
        hull = KnapsackHull(self._costs[free], float(Fraction(room, self.rungs.denominator)))
        start = first.base + first.moves[list(part.moved)].sum(axis=0)
        return At(start, first.moves[free], hull, first.deviation, first.magnitude)

    def _maximum(self, part: Part) -> tuple[float | None, tuple[int, ...]]:
        """`steady_maximum`, if the first layer quantises by it."""
        return steady_maximum(part) if self.enclosure.layers[0].share else (0.0, ())

    def _first(self, largest: float | None) -> _First:
        """The first layer for this largest pixel, None for any; kept."""
        if largest not in self._firsts:
            self._firsts[largest] = self._made(largest)
        return self._firsts[largest]

    def _made(self, largest: float | None) -> _First:
        rungs, first = self.rungs, self.enclosure.layers[0]
        base, moved, off = rungs.base.astype(np.float64), rungs.moved.astype(np.float64), None
        high = base.copy()
        high[rungs.axes] = np.maximum(base[rungs.axes], moved)
        if largest is not None:
            base, off = first.levels(base, largest)
            moved, off_moved = first.levels(moved, largest)
            off[rungs.axes] = np.maximum(off[rungs.axes], off_moved)
            high = np.maximum(high, base)
            high[rungs.axes] = np.maximum(high[rungs.axes], moved)
        moves: Doubles = np.einsum(
            "gk,gkn->gn", moved - base[rungs.axes], first.weights[rungs.axes]
        )
        magnitude = 3 * (high @ first.size) + np.abs(first.bias)
        return _First(
            base @ first.weights + first.bias, moves, magnitude, first.deviation(high, off)
        )

    def _keep(self, part: Part, every: tuple[PreActivations, ...]) -> None:
        """Keep the bounds of the whole ladder."""
        if not self._roots and part.count == self.rungs.count:
            self._roots = self._linear.roots(every)


def steady_maximum(part: Part) -> tuple[float | None, tuple[int, ...]]:
    """The largest pixel, if it is the same at every point of the part; else None, and the free
    features that may change it."""
    rungs, free = part.rungs, list(part.free)
    image, moved = rungs.base.copy(), rungs.moved[free]
    image[rungs.axes[list(part.moved)]] = rungs.moved[list(part.moved)]
    before = image[rungs.axes[free]]
    image[rungs.axes[free]] = 0.0
    # The largest of the pixels that are the same everywhere.
    still = image.max(initial=0.0)
    top = max(still, before.max(initial=0.0))
    raised = (moved > top).any(axis=1)
    if raised.any():
        return None, tuple(part.free[n] for n in np.flatnonzero(raised))
    holders = [part.free[n] for n in np.flatnonzero((before == top).any(axis=1))]
    steady = still == top or sum(rungs.costs[g] for g in holders) > part.room
    return (float(top), ()) if steady else (None, tuple(holders))
