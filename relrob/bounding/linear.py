"""Backward linear bounds on an enclosed network over a convex set of images, for the arithmetic of
its runtime.

1. The runtime's pre-activations are bounded layer by layer, then the margins of the label against
   every other class. Each bound goes backward through the relaxed hidden layers
   (`relrob.bounding.relaxation`; CROWN: Zhang et al. 2018, DeepPoly: Singh et al. 2019) to the
   directions in which images can move. The set's support function bounds the form there.
2. The runtime's deviation from real arithmetic is one more unknown for each neuron, of the size
   that the enclosure gives. Each deviation is weighted with its signed path to the margin.
3. The bounds are computed in float64. Each is widened by more than its own sums can lose
   (`relrob.domain.rounding`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from relrob.bounding.relaxation import (
    Neurons,
    Phase,
    PreActivations,
    Signs,
    backward,
    relaxed,
    with_betas,
)
from relrob.bounding.sets import At
from relrob.domain.arrays import Doubles, Ints
from relrob.domain.rounding import WIDEST_SLACK
from relrob.networks.enclosure import Deviation, Enclosure

# The number of directions above which products with the weights cost more than passes over them.
_MANY: Final = 64


@dataclass(frozen=True, eq=False)
class Margins:
    """Bounds of the margins of a label over a part.

    `low`, `high` (classes - 1,): ends of the runtime's output of the label minus each other
    class's; `gains` (f,): the loss of the most threatened margin in each direction; `least`, `most`
    (classes,): ends of the outputs before they saturate; `hidden`: the relaxed hidden layers;
    `every`: the bounds of every layer's pre-activations.
    """

    low: Doubles
    high: Doubles
    gains: Doubles
    least: Doubles
    most: Doubles
    hidden: tuple[Neurons, ...] = ()
    every: tuple[PreActivations, ...] = ()

    @property
    def slopes(self) -> Doubles:
        """The change of the most threatened margin in each direction (f,)."""
        return np.abs(self.gains)

    @property
    def empty(self) -> bool:
        """Is no image in the phases of the part?"""
        return any(bool((known.low > known.high).any()) for known in self.every[:-1])


@dataclass(frozen=True, eq=False)
class Root:
    """A hidden layer on a set, for bounds on its subsets.

    `low`, `high` (n,): ends of the runtime's pre-activations; `unstable` (k,): indices of the
    neurons that may do more than one thing; `both` (n_in, 2 k): their weights and the negatives,
    split by sign. The ends hold on every subset.
    """

    low: Doubles
    high: Doubles
    unstable: Ints
    both: Signs


@final
class LinearBounds:
    """Bounds of one enclosed network for one label, on any set of images.

    A set costs about two products of its directions with the weights of each layer. It costs less
    with the `roots` of a larger set: only the unstable neurons of these are bounded again.
    """

    def __init__(self, enclosure: Enclosure, label: int) -> None:
        self.enclosure, self.label = enclosure, label
        last = enclosure.layers[-1]
        self._both = [
            Signs.both(layer.weights[:, : None if number else 0])
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
        """Bounds over a set, or over its part in these `phases` of each hidden layer.

        `alphas` (n,) of each hidden layer: lower slopes, as `relaxed` takes them. Bounds are
        infinite where float32 may overflow. They mean nothing on a part that is `Margins.empty`.
        """
        with np.errstate(all="ignore"):
            hidden, every = self._forward(at, roots, alphas, phases)
            last = every[-1]
            both = self._last(last.deviation)
            values, gains = self._margin((1.0, -1.0), with_betas(hidden, phases), at)
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
        """The least margin, and its gradients by alpha and by beta, (n,) of each hidden layer.

        `alphas`, and the betas of `phases`, replace those of `found`; all other lines stay. Nothing
        is moved outward: the margin is a guide, and no bound. The gradient is a subgradient of the
        backward form, found by a forward pass at the form's maximiser.
        """
        crossing = [known.crossing for known in found.every[:-1]]
        hidden = [
            replace(neurons, lower_slope=np.where(unstable, alpha, neurons.lower_slope))
            for neurons, alpha, unstable in zip(found.hidden, alphas, crossing, strict=True)
        ]
        with np.errstate(all="ignore"):
            hidden = with_betas(hidden, phases)
            values, gains = self._margin((-1.0,), hidden, at)
            last = found.every[-1]
            low = -values - self._last(last.deviation)
            worst = int(low.argmin())
            signs = self._backward(-self._margin_weights[:, worst], hidden)
            layers = self.enclosure.layers
            value = at.start + at.hull.maximiser(gains[:, worst]) @ at.moves
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
        """The branching score (n,) of each neuron of each hidden layer.

        The score is the intercept term of an unstable ReLU in the form that bounds the most
        threatened margin of `found` (BaBSR: Bunel et al. 2020, JMLR 21(42), without its bias term).
        """
        worst = int(found.low.argmin())
        with np.errstate(all="ignore"):
            signs = self._backward(
                -self._margin_weights[:, worst], with_betas(list(found.hidden), phases)
            )
        unstable = [
            known.crossing & (known.high <= layer.cap)
            for known, layer in zip(found.every, self.enclosure.layers[:-1], strict=False)
        ]
        return [
            np.nan_to_num(np.maximum(sign, 0.0) * neurons.upper_intercept * may_cross)
            for sign, neurons, may_cross in zip(signs, found.hidden, unstable, strict=True)
        ]

    def _backward(self, coefficients: Doubles, hidden: list[Neurons]) -> list[Doubles]:
        """Coefficients (n,) of each hidden layer's outputs in the form that bounds `coefficients`
        of the last hidden layer's."""
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
        """The deviation of the margins (classes - 1,) that the last layer makes."""
        found: Doubles = (
            deviation.moved @ self._margin_size
            + deviation.rest[self.label]
            + deviation.rest[self._others]
        )
        return found

    def neurons(self, at: At, roots: Sequence[Root] = ()) -> tuple[PreActivations, ...]:
        """Bounds of every layer's pre-activations over a set; the last layer's are the outputs."""
        with np.errstate(all="ignore"):
            return tuple(self._forward(at, roots, None, None)[1])

    def roots(self, every: Sequence[PreActivations]) -> list[Root]:
        """The hidden layers of a set, of which `every` bounds all layers, for its subsets."""
        return [self._root(number, known) for number, known in enumerate(every[:-1])]

    def _forward(
        self,
        at: At,
        roots: Sequence[Root],
        alphas: Sequence[Doubles] | None,
        phases: Sequence[Phase] | None,
    ) -> tuple[list[Neurons], list[PreActivations]]:
        """The relaxed hidden layers, and the bounds of every layer, from the first to the last."""
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
                relaxed(
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
        """Ends (n,) of the runtime's pre-activations of layer `number`.

        Where a larger set was bounded, only its unstable neurons are bounded again.
        """
        if number >= len(roots):
            return self._fresh(number, slice(None), self._both[number], hidden, at, error)
        root = roots[number]
        low, high = root.low.copy(), root.high.copy()
        least, most = self._fresh(number, root.unstable, root.both, hidden, at, error)
        low[root.unstable] = np.fmax(low[root.unstable], least)
        high[root.unstable] = np.fmin(high[root.unstable], most)
        return low, high

    def _fresh(
        self,
        number: int,
        neurons: Ints | slice,
        both: Signs,
        hidden: list[Neurons],
        at: At,
        error: Doubles,
    ) -> tuple[Doubles, Doubles]:
        """Ends of the pre-activations of some neurons of a layer, computed now."""
        if number:
            bias = self.enclosure.layers[number].bias[neurons]
            high, low = np.split(
                self._maximum(both, np.concatenate([bias, -bias]), hidden, at)[0], 2
            )
        else:
            start, moves = at.start[neurons], at.moves[:, neurons]
            slack = WIDEST_SLACK * at.magnitude[neurons]
            high = start + at.highest(moves) + slack
            low = at.highest(-moves) - start + slack
        return -low - error[neurons], high + error[neurons]

    def _root(self, number: int, known: PreActivations) -> Root:
        """One hidden layer of a set. The first layer's weights are not needed."""
        low, high, layer = known.low, known.high, self.enclosure.layers[number]
        unstable = np.flatnonzero(~((high <= 0) | ((low >= 0) & (high <= layer.cap))))
        return Root(low, high, unstable, Signs.both(layer.weights[:, unstable if number else []]))

    def _margin(
        self, signs: tuple[float, ...], hidden: list[Neurons], at: At
    ) -> tuple[Doubles, Doubles]:
        """Upper bounds of sign * margins, the signs one after another, and their slopes.

        The bounds (signs x (classes - 1),) leave out the deviation that the last layer makes; the
        slopes are over the directions, (f, signs x (classes - 1)).
        """
        factors = np.repeat(signs, len(self._others))
        if hidden:
            weights = np.tile(self._margin_weights, len(signs))
            bias = np.tile(self._margin_bias, len(signs))
            return self._maximum(Signs.of(factors * weights), factors * bias, hidden, at)
        others = np.tile(self._others, len(signs))
        gains = factors * (at.moves[:, [self.label]] - at.moves[:, others])
        value = factors * (at.start[self.label] - at.start[others]) + at.highest(gains)
        return value + WIDEST_SLACK * (at.magnitude[self.label] + at.magnitude[others]), gains

    def _maximum(
        self, given: Signs, bias: Doubles, hidden: list[Neurons], at: At
    ) -> tuple[Doubles, Doubles]:
        """Upper bounds (m,) of h @ given + bias, h the outputs of the last of `hidden`, and their
        slopes (f, m) over the directions."""
        constant, magnitude, few = bias, np.abs(bias), len(at.moves) > _MANY
        for depth in range(len(hidden) - 1, 0, -1):
            form = backward(hidden[depth], given, few)
            layer = self.enclosure.layers[depth]
            given = Signs.of(layer.weights[:, form.used] @ form.slope)
            moved = hidden[depth].moved @ (given.plus - given.minus)
            constant = constant + form.constant + layer.bias[form.used] @ form.slope + moved
            magnitude = magnitude + form.magnitude
        if not few and hidden[0].beta is None:
            return _over_directions(hidden[0], given, constant, magnitude, at)
        form = backward(hidden[0], given, True)
        gains = at.moves[:, form.used] @ form.slope
        value = constant + form.constant + at.start[form.used] @ form.slope + at.highest(gains)
        return value + WIDEST_SLACK * (magnitude + form.magnitude), gains


def _over_directions(
    neurons: Neurons, given: Signs, constant: Doubles, magnitude: Doubles, at: At
) -> tuple[Doubles, Doubles]:
    """The last step backward through the first layer, for few directions: both lines are products
    with the directions before the coefficients `given` are known."""
    f = len(at.moves)
    above = [
        neurons.upper_slope * at.moves,
        neurons.upper_slope * at.start,
        neurons.upper_intercept,
        neurons.upper_slope * neurons.error,
        neurons.upper_intercept + neurons.upper_slope * (neurons.error + neurons.magnitude),
    ]
    below = [
        neurons.lower_slope * at.moves,
        neurons.lower_slope * at.start,
        neurons.lower_intercept,
        -neurons.lower_slope * neurons.error,
        -neurons.lower_intercept - neurons.lower_slope * (neurons.error + neurons.magnitude),
    ]
    rows = np.vstack(above) @ given.plus + np.vstack(below) @ given.minus
    value = constant + rows[f : f + 3].sum(axis=0) + at.highest(rows[:f])
    return value + WIDEST_SLACK * (magnitude + neurons.underflow + rows[f + 3]), rows[:f]
