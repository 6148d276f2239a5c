"""Backward linear bounds on an enclosed network over a convex set of images, for the arithmetic of
its runtime.

Pre-activations of the runtime are bounded layer by layer, then the margins of the label against
every other class, backward through the triangle relaxation (CROWN: Zhang et al. 2018; DeepPoly:
Singh et al. 2019) to the directions in which images can move, where the set's own support function
gives the extreme. The distance of the runtime from real arithmetic enters as one more unknown a
neuron, of the size that the enclosure gives, so that errors are weighted with the signed path to
the margin. Float64, outward: every bound is widened by more than the sums that form it can lose
(`outward`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, final

import numpy as np

from relrob.domain.arrays import Doubles, Ints
from relrob.domain.rounding import UNDERFLOW, WIDEST_SLACK
from relrob.networks.enclosure import Deviation, Enclosure

# directions from which on their products with the weights cost more than passes over the weights
_MANY: Final = 64


class Hull(Protocol):
    """A convex set of moves z (f,) along the directions of a region, with 0 in it."""

    def support(self, gains: Doubles) -> Doubles:
        """At least max { z @ gains : z in the set }, column by column: (f, n) -> (n,), up to `WIDEST_SLACK` times the largest
        |z| @ |gains| of the smallest box around it."""
        ...

    def maximiser(self, gains: Doubles) -> Doubles:
        """A z (f,) of the set with z @ gains (f,) largest, up to rounding."""
        ...


@dataclass(frozen=True, eq=False)
class _Signs:
    """Coefficients (n, m) split by sign: `plus` >= 0, `minus` <= 0, their sum is the matrix."""

    plus: Doubles
    minus: Doubles

    @staticmethod
    def of(matrix: Doubles) -> _Signs:
        """Split a matrix."""
        return _Signs(np.maximum(matrix, 0.0), np.minimum(matrix, 0.0))

    @staticmethod
    def both(matrix: Doubles) -> _Signs:
        """Of a matrix and, to its right, its negative: the upper and the lower bounds in one."""
        signs = _Signs.of(matrix)
        return _Signs(np.hstack([signs.plus, -signs.minus]), np.hstack([signs.minus, -signs.plus]))


@dataclass(frozen=True, eq=False)
class PreActivations:
    """One layer over a part: what the runtime computes before the ReLU lies in [`low`, `high`] (n,)
    and within `error` (n,) of the real pre-activation of the runtime's inputs, by what is
    `deviation`; `magnitude` (n,): magnitude of the terms of one. Infinite where float32 may
    overflow."""

    low: Doubles
    high: Doubles
    error: Doubles
    deviation: Deviation
    magnitude: Doubles


@dataclass(frozen=True, eq=False)
class Neurons:
    """One hidden layer on the part: lines above (`upper_slope`, `upper_intercept`) and below
    (`lower_slope`, `lower_intercept`) what the runtime passes on, over its pre-activations, which
    are real ones of inputs `moved` (n_in,) by at most that much, up to `error`; `top`: largest
    outputs; `magnitude`: magnitude of the terms of one. The first layer's `error` is all that it
    loses. `beta` (n,), where it is given: such multiples of the pre-activations, none of which is
    below 0 on the part, are added to what is bounded from above."""

    upper_slope: Doubles
    upper_intercept: Doubles
    lower_slope: Doubles
    lower_intercept: Doubles
    moved: Doubles
    error: Doubles
    top: Doubles
    magnitude: Doubles
    beta: Doubles | None = None


@dataclass(frozen=True, eq=False)
class Phase:
    """What a part fixes of a hidden layer: `sides` (n,), 1 where the runtime's pre-activation is at
    least 0, -1 where it is at most 0, 0 where it is free; `betas` (n,) >= 0: multipliers of these
    conditions in a bound of the margins, 0 where free."""

    sides: Doubles
    betas: Doubles


def _neurons(known: PreActivations, cap: float, alphas: Doubles | None, first: bool) -> Neurons:
    """Lines for min(max(p, 0), cap), p in [low, high]: the triangle, or constants where the cap may
    bite. `alphas` (n,): slopes in [0, 1] of the lines below neurons that may change sign, chosen by
    their areas when not given."""
    low, high = known.low, known.high
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    crossing, on = (low < 0) & (high > 0), low >= 0
    upper_slope = np.where(crossing, high / np.where(crossing, high - low, 1.0), on * 1.0)
    upper_intercept = np.where(crossing, UNDERFLOW - upper_slope * low, 0.0)
    lower_slope = np.where(crossing, high > -low if alphas is None else alphas, on) * 1.0
    lower_intercept = np.zeros_like(upper_slope)
    cut = high > cap
    if cut.any():
        upper_slope, upper_intercept = (
            np.where(cut, 0.0, upper_slope),
            np.where(cut, cap, upper_intercept),
        )
        lower_slope, lower_intercept = (
            np.where(cut, 0.0, lower_slope),
            np.where(cut, np.clip(low, 0.0, cap), lower_intercept),
        )
    error = known.error if first else known.deviation.rest
    return Neurons(
        upper_slope,
        upper_intercept,
        lower_slope,
        lower_intercept,
        known.deviation.moved,
        error,
        np.clip(high, 0.0, cap),
        known.magnitude,
    )


def _floor(neurons: Neurons) -> float:
    """What a layer adds to magnitudes for coefficients that are too small for float64."""
    return UNDERFLOW * float(len(neurons.magnitude) + (neurons.magnitude + neurons.error).sum())


def _with_betas(hidden: list[Neurons], phases: Sequence[Phase] | None) -> list[Neurons]:
    """The layers with the pulls of their phases."""
    if phases is None:
        return hidden
    pairs = zip(hidden, phases, strict=True)
    return [replace(neurons, beta=phase.sides * phase.betas) for neurons, phase in pairs]


@dataclass(frozen=True, eq=False)
class Margins:
    """Over a part: `low`, `high` (classes - 1,) of the runtime's output of the label minus each
    other class's; `gains` (f,): how much each direction lowers the most threatened margin; `least`,
    `most` (classes,): of the outputs before they saturate; `hidden`: the lines by which the hidden
    layers were bounded; `every`: the bounds of every layer."""

    low: Doubles
    high: Doubles
    gains: Doubles
    least: Doubles
    most: Doubles
    hidden: tuple[Neurons, ...] = ()
    every: tuple[PreActivations, ...] = ()

    @property
    def slopes(self) -> Doubles:
        """How much each direction (f,) moves the most threatened margin."""
        return np.abs(self.gains)

    @property
    def empty(self) -> bool:
        """Is there no image at all in the phases of the part?"""
        return any(bool((known.low > known.high).any()) for known in self.every[:-1])


@dataclass(frozen=True, eq=False)
class At:
    """A set of images as the first layer sees it: pre-activations `start` (n,) where nothing moves,
    what each direction adds `moves` (f, n), both up to the relative error `WIDEST_SLACK` of
    `magnitude` (n,); the moves' `hull`; what the runtime has `deviation`."""

    start: Doubles
    moves: Doubles
    hull: Hull
    deviation: Deviation
    magnitude: Doubles

    def highest(self, gains: Doubles) -> Doubles:
        """At least what moves can add, column by column: (f, n) -> (n,). Infinite where a gain is
        not a finite number."""
        return np.where(np.isfinite(gains.sum(axis=0)), self.hull.support(gains), np.inf)


@dataclass(frozen=True, eq=False)
class Root:
    """A hidden layer on a set: bounds of the runtime's pre-activations, the neurons `open` that
    they leave undecided, and `both` these neurons' weights and their negatives, split by sign. They
    hold on every subset."""

    low: Doubles
    high: Doubles
    open: Ints
    both: _Signs


@final
class LinearBounds:
    """Bounds of one enclosed network for one label, on any set of images. One set costs about two
    products of its directions with the weights of each layer; less with the `roots` of a set that
    holds it, of which only undecided neurons are bounded again."""

    def __init__(self, enclosure: Enclosure, label: int) -> None:
        self.enclosure, self.label = enclosure, label
        last = enclosure.layers[-1]
        self._both = [
            _Signs.both(layer.weights[:, : None if number else 0])
            for number, layer in enumerate(enclosure.layers)
        ]
        others = np.delete(np.arange(enclosure.classes), label)
        self._margin_weights = last.weights[:, [label]] - last.weights[:, others]
        self._margin_size = np.abs(self._margin_weights)
        self._margin_bias = last.bias[label] - last.bias[others]
        self._others = others

    def margins(
        self,
        at: At,
        roots: Sequence[Root] = (),
        alphas: Sequence[Doubles] | None = None,
        phases: Sequence[Phase] | None = None,
    ) -> Margins:
        """Bounds over the whole set, or the part of it on which neurons are in these `phases` of
        each hidden layer (bounds mean nothing where that is `Margins.empty`); infinite where
        float32 may overflow. `alphas`: of each hidden layer, see `_neurons`."""
        with np.errstate(all="ignore"):
            hidden, every = self._forward(at, roots, alphas, phases)
            last = every[-1]
            both = self._last(last.deviation)
            values, gains = self._margin((1.0, -1.0), _with_betas(hidden, phases), at)
            high, low = np.split(values, 2)
            worst = gains[:, len(high) + int((-low).argmin())]
        return Margins(
            np.nan_to_num(-low - both, nan=-np.inf, posinf=np.inf, neginf=-np.inf),
            np.nan_to_num(high + both, nan=np.inf, posinf=np.inf, neginf=-np.inf),
            np.nan_to_num(worst),
            np.nan_to_num(last.low, nan=-np.inf, posinf=np.inf, neginf=-np.inf),
            np.nan_to_num(last.high, nan=np.inf, posinf=np.inf, neginf=-np.inf),
            tuple(hidden),
            tuple(every),
        )

    def gradients(
        self,
        at: At,
        found: Margins,
        alphas: Sequence[Doubles],
        phases: Sequence[Phase] | None = None,
    ) -> tuple[float, list[Doubles], list[Doubles]]:
        """The least margin over the set with the slopes `alphas` (n,) of each hidden layer's lines
        below, the pulls of `phases`, and everything else as in `found`; how it grows with each
        slope of a neuron that may change sign, and with each pull. Not outward: a guide, no bound.
        """
        crossing = [(known.low < 0) & (known.high > 0) for known in found.every[:-1]]
        hidden = [
            replace(neurons, lower_slope=np.where(open_, lower_slope, neurons.lower_slope))
            for neurons, lower_slope, open_ in zip(found.hidden, alphas, crossing, strict=True)
        ]
        with np.errstate(all="ignore"):
            hidden = _with_betas(hidden, phases)
            values, gains = self._margin((-1.0,), hidden, at)
            last = found.every[-1]
            low = -values - self._last(last.deviation)
            worst = int(low.argmin())
            signs = self._backward(-self._margin_weights[:, worst], hidden)
            layers, value = (
                self.enclosure.layers,
                at.start + at.hull.maximiser(gains[:, worst]) @ at.moves,
            )
            by_alpha, by_beta = list[Doubles](), list[Doubles]()
            for number, (neurons, sign) in enumerate(zip(hidden, signs, strict=True)):
                slope = sign * np.where(sign > 0, neurons.upper_slope, neurons.lower_slope)
                value = value + neurons.error * np.sign(slope)
                by_alpha.append(np.where(crossing[number], -np.minimum(sign, 0.0) * value, 0.0))
                by_beta.append(
                    np.zeros_like(value) if phases is None else -phases[number].sides * value
                )
                passed = np.where(
                    sign > 0,
                    neurons.upper_slope * value + neurons.upper_intercept,
                    neurons.lower_slope * value + neurons.lower_intercept,
                )
                passed = passed + found.every[number + 1].deviation.moved * np.sign(sign)
                value = passed @ layers[number + 1].weights + layers[number + 1].bias
        return float(low[worst]), by_alpha, by_beta

    def branching_scores(self, found: Margins, phases: Sequence[Phase]) -> list[Doubles]:
        """How much of the most threatened margin in `found` each neuron (n,) of a hidden layer
        costs by being open."""
        worst = int(found.low.argmin())
        with np.errstate(all="ignore"):
            signs = self._backward(
                -self._margin_weights[:, worst], _with_betas(list(found.hidden), phases)
            )
        open_ones = [
            (known.low < 0) & (known.high > 0) & (known.high <= layer.cap)
            for known, layer in zip(found.every, self.enclosure.layers[:-1], strict=False)
        ]
        costs = zip(signs, found.hidden, open_ones, strict=True)
        return [
            np.nan_to_num(np.maximum(sign, 0.0) * neurons.upper_intercept * open_)
            for sign, neurons, open_ in costs
        ]

    def _backward(self, coefficients: Doubles, hidden: list[Neurons]) -> list[Doubles]:
        """Coefficients (n,) of each hidden layer's outputs in the linear form that bounds
        `coefficients` of the last one's."""
        found = [coefficients] if hidden else []
        for number in range(len(hidden) - 1, 0, -1):
            neurons, given = hidden[number], found[0]
            slope = (
                np.maximum(given, 0.0) * neurons.upper_slope
                + np.minimum(given, 0.0) * neurons.lower_slope
            )
            slope = slope if neurons.beta is None else slope + neurons.beta
            found.insert(0, self.enclosure.layers[number].weights @ slope)
        return found

    def _last(self, deviation: Deviation) -> Doubles:
        """What the last layer can lose of the margins (classes - 1,)."""
        found: Doubles = (
            deviation.moved @ self._margin_size
            + deviation.rest[self.label]
            + deviation.rest[self._others]
        )
        return found

    def neurons(self, at: At, roots: Sequence[Root] = ()) -> tuple[PreActivations, ...]:
        """Bounds of every layer's pre-activations over the whole set, the last layer's (the
        outputs) included."""
        with np.errstate(all="ignore"):
            return tuple(self._forward(at, roots, None, None)[1])

    def roots(self, every: Sequence[PreActivations]) -> list[Root]:
        """What subsets of a set need of its hidden layers' bounds."""
        return [self._root(number, known) for number, known in enumerate(every[:-1])]

    def _forward(
        self,
        at: At,
        roots: Sequence[Root],
        alphas: Sequence[Doubles] | None,
        phases: Sequence[Phase] | None,
    ) -> tuple[list[Neurons], list[PreActivations]]:
        """Layer by layer: the hidden layers' lines, and the bounds of every layer."""
        layers = self.enclosure.layers
        deviation, magnitude = at.deviation, at.magnitude
        hidden: list[Neurons] = []
        every: list[PreActivations] = []
        for number, layer in enumerate(layers[:-1]):
            error = deviation.total(layer.size)
            low, high = self._bounds(number, hidden, at, error, roots)
            if phases is not None:
                low = np.where(phases[number].sides > 0, np.maximum(low, 0.0), low)
                high = np.where(phases[number].sides < 0, np.minimum(high, 0.0), high)
            every.append(PreActivations(low, high, error, deviation, magnitude))
            hidden.append(
                _neurons(
                    every[-1], layer.cap, None if alphas is None else alphas[number], number == 0
                )
            )
            deviation = layers[number + 1].deviation(hidden[-1].top)
            magnitude = hidden[-1].top @ layers[number + 1].size + np.abs(layers[number + 1].bias)
        error = deviation.total(layers[-1].size)
        low, high = self._bounds(len(layers) - 1, hidden, at, error, roots)
        return hidden, [*every, PreActivations(low, high, error, deviation, magnitude)]

    def _bounds(
        self, number: int, hidden: list[Neurons], at: At, error: Doubles, roots: Sequence[Root]
    ) -> tuple[Doubles, Doubles]:
        """Bounds of the runtime's pre-activations of layer `number`: its undecided neurons, where a
        larger set was bounded."""
        if number >= len(roots):
            return self._fresh(number, slice(None), self._both[number], hidden, at, error)
        root = roots[number]
        low, high = root.low.copy(), root.high.copy()
        least, most = self._fresh(number, root.open, root.both, hidden, at, error)
        low[root.open] = np.fmax(low[root.open], least)
        high[root.open] = np.fmin(high[root.open], most)
        return low, high

    def _fresh(
        self,
        number: int,
        neurons: Ints | slice,
        both: _Signs,
        hidden: list[Neurons],
        at: At,
        error: Doubles,
    ) -> tuple[Doubles, Doubles]:
        """Bounds of some neurons of a layer, computed now."""
        if number:
            bias = self.enclosure.layers[number].bias[neurons]
            high, low = np.split(
                self._maximum(both, np.concatenate([bias, -bias]), hidden, at)[0], 2
            )
        else:
            start, moves, slack = (
                at.start[neurons],
                at.moves[:, neurons],
                WIDEST_SLACK * at.magnitude[neurons],
            )
            high = start + at.highest(moves) + slack
            low = at.highest(-moves) - start + slack
        return -low - error[neurons], high + error[neurons]

    def _root(self, number: int, known: PreActivations) -> Root:
        """Of one hidden layer."""
        low, high, cap = known.low, known.high, self.enclosure.layers[number].cap
        undecided = np.flatnonzero(~((high <= 0) | ((low >= 0) & (high <= cap))))
        return Root(
            low,
            high,
            undecided,
            _Signs.both(self.enclosure.layers[number].weights[:, undecided if number else []]),
        )

    def _margin(
        self, signs: tuple[float, ...], hidden: list[Neurons], at: At
    ) -> tuple[Doubles, Doubles]:
        """Upper bounds of sign * margins without the last layer's own error for each sign, one
        after another, and their slopes over the directions."""
        factors = np.repeat(signs, len(self._others))
        if hidden:
            weights, bias = (
                np.tile(self._margin_weights, len(signs)),
                np.tile(self._margin_bias, len(signs)),
            )
            return self._maximum(_Signs.of(factors * weights), factors * bias, hidden, at)
        others = np.tile(self._others, len(signs))
        gains = factors * (at.moves[:, [self.label]] - at.moves[:, others])
        value = factors * (at.start[self.label] - at.start[others]) + at.highest(gains)
        return value + WIDEST_SLACK * (at.magnitude[self.label] + at.magnitude[others]), gains

    def _maximum(
        self, given: _Signs, bias: Doubles, hidden: list[Neurons], at: At
    ) -> tuple[Doubles, Doubles]:
        """Upper bound (n,) of outputs of the last of `hidden` @ given + bias, and its slopes over
        the directions."""
        constant, slack, free = bias, np.abs(bias), len(at.moves)
        for depth in range(len(hidden) - 1, 0, -1):
            used, slope, offsets, deviation = self._below(hidden[depth], given, free > _MANY)
            layer = self.enclosure.layers[depth]
            given = _Signs.of(layer.weights[:, used] @ slope)
            moved = hidden[depth].moved @ (given.plus - given.minus)
            constant, slack = (
                constant + offsets + layer.bias[used] @ slope + moved,
                slack + deviation,
            )
        neurons = hidden[0]
        if free > _MANY or neurons.beta is not None:
            used, slope, offsets, deviation = self._below(neurons, given, True)
            gains = at.moves[:, used] @ slope
            value = constant + offsets + at.start[used] @ slope + at.highest(gains)
            return value + WIDEST_SLACK * (slack + deviation), gains
        above = [
            neurons.upper_slope * at.moves,
            neurons.upper_slope * at.start,
            neurons.upper_intercept,
            neurons.upper_slope * neurons.error,
        ]
        below = [
            neurons.lower_slope * at.moves,
            neurons.lower_slope * at.start,
            neurons.lower_intercept,
            -neurons.lower_slope * neurons.error,
        ]
        above += [
            neurons.upper_intercept + neurons.upper_slope * (neurons.error + neurons.magnitude)
        ]
        below += [
            -neurons.lower_intercept - neurons.lower_slope * (neurons.error + neurons.magnitude)
        ]
        rows = np.vstack(above) @ given.plus + np.vstack(below) @ given.minus
        value = constant + rows[free : free + 3].sum(axis=0) + at.highest(rows[:free])
        return value + WIDEST_SLACK * (slack + _floor(neurons) + rows[free + 3]), rows[:free]

    @staticmethod
    def _below(
        neurons: Neurons, given: _Signs, few: bool
    ) -> tuple[Ints | slice, Doubles, Doubles, Doubles]:
        """Through one hidden layer: the neurons that count (all; or, if `few`, those that can pass
        on more than 0), the form (n, m) in their real pre-activations above `given` in their
        outputs, what else it adds, and the magnitude of all its terms."""
        on = (
            (neurons.upper_slope != 0)
            | (neurons.upper_intercept != 0)
            | (neurons.lower_slope != 0)
            | (neurons.lower_intercept != 0)
        )
        on = on if neurons.beta is None else on | (neurons.beta != 0)
        used = np.flatnonzero(on) if few else slice(None)
        plus, minus, error = given.plus[used], given.minus[used], neurons.error[used]
        slope = plus * neurons.upper_slope[used, None] + minus * neurons.lower_slope[used, None]
        size, upper_intercept, lower_intercept = (
            np.abs(slope),
            neurons.upper_intercept[used] @ plus,
            neurons.lower_intercept[used] @ minus,
        )
        if neurons.beta is not None:
            slope, size = slope + neurons.beta[used, None], size + np.abs(neurons.beta[used, None])
        most = upper_intercept - lower_intercept + (error + neurons.magnitude[used]) @ size
        return used, slope, upper_intercept + lower_intercept + error @ size, most + _floor(neurons)
