"""Backward linear bounds on an enclosed network over a part of a ladder, for the arithmetic of its runtime.

Pre-activations of the runtime are bounded layer by layer, then the margins of the label against every other class, backward through
the triangle relaxation (CROWN: Zhang et al. 2018; DeepPoly: Singh et al. 2019) to the features, where the extreme over the hull
{ z in [0,1]^F : costs.z <= room } is a fractional knapsack. The distance of the runtime from real arithmetic enters as one more
unknown a neuron, of the size that the enclosure gives, so that errors are weighted with the signed path to the margin. Float64,
outward: every bound is widened by more than the relative error of the sums that form it (`SLACK`).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final, final

import numpy as np

from relrob.bounding.part import Part
from relrob.domain.arrays import Doubles, Ints
from relrob.networks.enclosure import Enclosure
from relrob.networks.folded import hull_maximum
from relrob.regions.ladder import RungSet

SLACK: Final = (
    2.0**-34
)  # more than 2^13 terms of float64 sums, products nested three deep, can lose relative to their magnitude


@dataclass(frozen=True, eq=False)
class _Hull:
    """Free features: `costs` (f,) > 0, float64, and what is left of the radius."""

    costs: Doubles
    room: float


@dataclass(frozen=True, eq=False)
class _Signs:
    """Coefficients (n, m) split by sign: `plus` >= 0, `minus` <= 0, their sum is the matrix."""

    plus: Doubles
    minus: Doubles

    @staticmethod
    def of(matrix: Doubles) -> _Signs:
        """Split a matrix."""
        return _Signs(np.maximum(matrix, 0.0), np.minimum(matrix, 0.0))

    @property
    def opposite(self) -> _Signs:
        """Of the negated matrix."""
        return _Signs(-self.minus, -self.plus)


@dataclass(frozen=True, eq=False)
class Neurons:
    """One hidden layer on the part: lines above (`rise`, `over`) and below (`fall`, `under`) what the runtime passes on, over its
    pre-activations, which are real ones up to `error`; `top`: largest outputs; `reach`: magnitude of the terms of one."""

    rise: Doubles
    over: Doubles
    fall: Doubles
    under: Doubles
    error: Doubles
    top: Doubles
    reach: Doubles


def _neurons(low: Doubles, high: Doubles, error: Doubles, cap: float, reach: Doubles) -> Neurons:
    """Lines for min(max(p, 0), cap), p in [low, high]: the triangle, or constants where the cap may bite."""
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    crossing, on = (low < 0) & (high > 0), low >= 0
    rise = np.where(crossing, high / np.where(crossing, high - low, 1.0), on * 1.0)
    over = np.where(crossing, -rise * low, 0.0)
    fall = np.where(crossing, high > -low, on) * 1.0
    under = np.zeros_like(rise)
    cut = high > cap
    if cut.any():
        rise, over = np.where(cut, 0.0, rise), np.where(cut, cap, over)
        fall, under = np.where(cut, 0.0, fall), np.where(cut, np.clip(low, 0.0, cap), under)
    return Neurons(rise, over, fall, under, error, np.clip(high, 0.0, cap), reach)


@dataclass(frozen=True, eq=False)
class Margins:
    """Over a part: `low`, `high` (classes - 1,) of the runtime's output of the label minus each other class's; `slopes` (F,): how
    much each free feature moves the most threatened margin; `least`, `most` (classes,): of the outputs before they saturate;
    `hidden`: the lines by which the hidden layers were bounded."""

    low: Doubles
    high: Doubles
    slopes: Doubles
    least: Doubles
    most: Doubles
    hidden: tuple[Neurons, ...] = ()


@dataclass(frozen=True, eq=False)
class PreActivations:
    """One layer over a part: what the runtime computes before the ReLU lies in [`low`, `high`] (n,) and within `error` (n,) of
    the real pre-activation of the runtime's inputs; `reach` (n,): magnitude of the terms of one. Infinite where float32
    may overflow."""

    low: Doubles
    high: Doubles
    error: Doubles
    reach: Doubles


@dataclass(frozen=True, eq=False)
class At:
    """A part as the first layer sees it: pre-activations `start` (n,) with nothing free moved, what each free feature adds
    `moves` (f, n), and the hull of the free features."""

    start: Doubles
    moves: Doubles
    hull: _Hull


@dataclass(frozen=True, eq=False)
class _Root:
    """A hidden layer on the whole ladder: bounds of the runtime's pre-activations, the neurons `open` that they leave undecided,
    and these neurons' weights, split by sign."""

    low: Doubles
    high: Doubles
    open: Ints
    signs: _Signs
    opposite: _Signs


@final
class LadderBounds:
    """Bounds of one enclosed network on the parts of one ladder, for one label. A part costs about two products of the features'
    directions with the weights of each layer; less after the whole ladder, of which only undecided neurons are bounded again."""

    def __init__(self, enclosure: Enclosure, rungs: RungSet, label: int) -> None:
        self.enclosure, self.rungs, self.label = enclosure, rungs, label
        first, last = enclosure.layers[0], enclosure.layers[-1]
        base = rungs.base.astype(np.float64)
        self._base = base @ first.weights + first.bias
        change = rungs.moved.astype(np.float64) - base[rungs.axes]
        self._moves: Doubles = np.einsum("gk,gkn->gn", change, first.weights[rungs.axes])
        one = rungs.denominator
        self._costs = np.array([float(Fraction(cost, one)) for cost in rungs.costs])
        self._largest = base.copy()
        self._largest[rungs.axes.ravel()] = np.maximum(base[rungs.axes], rungs.moved).ravel()
        self._reach = 3 * (self._largest @ first.size) + np.abs(first.bias)
        self._signs = [_Signs.of(layer.weights) for layer in enclosure.layers]
        self._opposite = [signs.opposite for signs in self._signs]
        others = np.delete(np.arange(enclosure.classes), label)
        self._margin_weights = last.weights[:, [label]] - last.weights[:, others]
        self._margin_bias = last.bias[label] - last.bias[others]
        self._others = others
        self._roots: list[_Root] = []

    def margins(self, part: Part) -> Margins:
        """Bounds over all points of the part; infinite where float32 may overflow."""
        with np.errstate(all="ignore"):
            found = self._margins(part)
        return Margins(
            np.nan_to_num(found.low, nan=-np.inf, posinf=np.inf, neginf=-np.inf),
            np.nan_to_num(found.high, nan=np.inf, posinf=np.inf, neginf=-np.inf),
            np.nan_to_num(found.slopes),
            np.nan_to_num(found.least, nan=-np.inf, posinf=np.inf, neginf=-np.inf),
            np.nan_to_num(found.most, nan=np.inf, posinf=np.inf, neginf=-np.inf),
            found.hidden,
        )

    def neurons(self, part: Part) -> tuple[PreActivations, ...]:
        """Bounds of every layer's pre-activations over all points of the part, the last layer's (the outputs) included."""
        with np.errstate(all="ignore"):
            return tuple(self._forward(self.at(part), part)[1])

    def at(self, part: Part) -> At:
        """The part as the first layer sees it, up to the relative error `SLACK` of the layer's `reach`."""
        free = list(part.free)
        room = min(part.room, sum(self.rungs.costs[g] for g in free))
        hull = _Hull(self._costs[free], float(Fraction(room, self.rungs.denominator)))
        return At(self._base + self._moves[list(part.moved)].sum(axis=0), self._moves[free], hull)

    def _forward(self, at: At, part: Part) -> tuple[list[Neurons], list[PreActivations]]:
        """Layer by layer: the hidden layers' lines, and the bounds of every layer."""
        layers = self.enclosure.layers
        root = not self._roots and part.count == self.rungs.count
        error, reach = layers[0].error(self._largest), self._reach
        hidden: list[Neurons] = []
        every: list[PreActivations] = []
        for number, layer in enumerate(layers[:-1]):
            low, high = self._bounds(number, hidden, at, error)
            if root:
                self._roots.append(self._root(number, low, high))
            every.append(PreActivations(low, high, error, reach))
            hidden.append(_neurons(low, high, error, layer.cap, reach))
            error = layers[number + 1].error(hidden[-1].top)
            reach = hidden[-1].top @ layers[number + 1].size + np.abs(layers[number + 1].bias)
        low, high = self._bounds(len(layers) - 1, hidden, at, error)
        return hidden, [*every, PreActivations(low, high, error, reach)]

    def _margins(self, part: Part) -> Margins:
        at, free = self.at(part), list(part.free)
        hidden, every = self._forward(at, part)
        last = every[-1]
        both = last.error[self.label] + last.error[self._others]
        high, _ = self._margin(1.0, hidden, at)
        low, slopes = self._margin(-1.0, hidden, at)
        steep = np.zeros(self.rungs.features)
        if free:
            steep[free] = np.abs(slopes[:, int((-low).argmin())])
        return Margins(-low - both, high + both, steep, last.low, last.high, tuple(hidden))

    def _bounds(self, number: int, hidden: list[Neurons], at: At, error: Doubles) -> tuple[Doubles, Doubles]:
        """Bounds of the runtime's pre-activations of layer `number`: its undecided neurons, where the whole ladder was bounded."""
        if number >= len(self._roots):
            return self._fresh(number, slice(None), self._signs[number], self._opposite[number], hidden, at, error)
        root = self._roots[number]
        low, high = root.low.copy(), root.high.copy()
        least, most = self._fresh(number, root.open, root.signs, root.opposite, hidden, at, error)
        low[root.open] = np.fmax(low[root.open], least)
        high[root.open] = np.fmin(high[root.open], most)
        return low, high

    def _fresh(
        self,
        number: int,
        neurons: Ints | slice,
        signs: _Signs,
        opposite: _Signs,
        hidden: list[Neurons],
        at: At,
        error: Doubles,
    ) -> tuple[Doubles, Doubles]:
        """Bounds of some neurons of a layer, computed now."""
        if number:
            bias = self.enclosure.layers[number].bias[neurons]
            high = self._maximum(signs, bias, hidden, at)[0]
            low = -self._maximum(opposite, -bias, hidden, at)[0]
        else:
            start, moves, slack = at.start[neurons], at.moves[:, neurons], SLACK * self._reach[neurons]
            high = start + hull_maximum(moves, at.hull.costs, at.hull.room) + slack
            low = start - hull_maximum(-moves, at.hull.costs, at.hull.room) - slack
        return low - error[neurons], high + error[neurons]

    def _root(self, number: int, low: Doubles, high: Doubles) -> _Root:
        """What later parts need of a layer's bounds on the whole ladder."""
        cap = self.enclosure.layers[number].cap
        undecided = np.flatnonzero(~((high <= 0) | ((low >= 0) & (high <= cap))))
        signs = _Signs.of(self.enclosure.layers[number].weights[:, undecided]) if number else _Signs(low, high)
        return _Root(low, high, undecided, signs, signs.opposite)

    def _margin(self, sign: float, hidden: list[Neurons], at: At) -> tuple[Doubles, Doubles]:
        """Upper bound of sign * margins without the last layer's own error, and the slopes over the free features."""
        if hidden:
            return self._maximum(_Signs.of(sign * self._margin_weights), sign * self._margin_bias, hidden, at)
        start, moves = at.start, at.moves
        gains = sign * (moves[:, [self.label]] - moves[:, self._others])
        value = sign * (start[self.label] - start[self._others]) + hull_maximum(gains, at.hull.costs, at.hull.room)
        return value + SLACK * (self._reach[self.label] + self._reach[self._others]), gains

    def _maximum(self, given: _Signs, bias: Doubles, hidden: list[Neurons], at: At) -> tuple[Doubles, Doubles]:
        """Upper bound (n,) of outputs of the last of `hidden` @ given + bias, and its slopes over the features."""
        constant, slack = bias, np.abs(bias)
        for depth in range(len(hidden) - 1, 0, -1):
            neurons, layer = hidden[depth], self.enclosure.layers[depth]
            slope = given.plus * neurons.rise[:, None] + given.minus * neurons.fall[:, None]
            size = np.abs(slope)
            offsets, lost = neurons.over @ given.plus + neurons.under @ given.minus, neurons.error @ size
            constant = constant + offsets + lost + layer.bias @ slope
            slack = slack + neurons.over @ given.plus - neurons.under @ given.minus + lost + neurons.reach @ size
            given = _Signs.of(layer.weights @ slope)
        neurons, free = hidden[0], len(at.moves)
        above = [neurons.rise * at.moves, neurons.rise * at.start, neurons.over, neurons.rise * neurons.error]
        below = [neurons.fall * at.moves, neurons.fall * at.start, neurons.under, -neurons.fall * neurons.error]
        above += [neurons.over + neurons.rise * (neurons.error + neurons.reach)]
        below += [-neurons.under - neurons.fall * (neurons.error + neurons.reach)]
        rows = np.vstack(above) @ given.plus + np.vstack(below) @ given.minus
        value = constant + rows[free : free + 3].sum(axis=0) + hull_maximum(rows[:free], at.hull.costs, at.hull.room)
        return value + SLACK * (slack + rows[free + 3]), rows[:free]
