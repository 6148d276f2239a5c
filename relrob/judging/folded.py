"""A dense network folded onto a ladder: an input for each feature, a neuron for each ReLU that may
change sign.

1. The region is { base + sum_g z_g d_g : z in [0,1]^F, sum_g c_g z_g <= r }. A ReLU whose
   pre-activation keeps its sign there is the identity or 0. Its column folds into the next layer,
   exactly in real arithmetic.
2. The rest is evaluated in float32. An error bound covers this evaluation and any IEEE-754 float32
   evaluation of the network, whatever the order of summation, with or without FMA
   (`relrob.domain.rounding`). The steps of a file besides its dense layers are part of the bound
   (`Layer`). It is infinite where float32 may overflow.
3. A point whose margin exceeds the bound has its label on every float32 runtime. So has a point
   whose margins exceed their errors at that point (`pointwise`). The others are close calls, and
   need the runtime.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, final

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.network import Dense
from relrob.domain.rounding import TERMS_SLACK, float32_error, layer_error
from relrob.judging.pointwise import Hidden, MarginErrors, settled
from relrob.queries.properties import Property, label_of
from relrob.regions.hulls import knapsack_support
from relrob.regions.ladder import RungSet

# Logits further apart keep their order through a float32 softmax, up to 100 ulp of error in it.
_SOFTMAX: Final = 2.0**-16


@dataclass(frozen=True, eq=False)
class Judged:
    """The labels and margins of n points.

    `labels` (n,); `margins` (n,): of the true label; `close` (n,): close calls, where the label is
    not certain.
    """

    labels: Ints
    margins: Floats
    close: Bools


@dataclass(frozen=True, eq=False)
class _Map:
    """Pre-activations (n,) of a layer as `constant` + basis @ `matrix`, float64.

    The basis is [z, neurons kept so far]. `low`, `high`: ends over the region in real arithmetic,
    outward; `absolute`: sum of the magnitudes of all terms; `drift`: distance of the float64
    coefficients from the real network's; `runtime`: error of any float32 evaluation; `made`: the
    part of it that this layer makes.
    """

    constant: Doubles
    matrix: Doubles
    low: Doubles
    high: Doubles
    absolute: Doubles
    drift: Doubles
    runtime: Doubles
    made: Doubles


@dataclass(frozen=True, eq=False)
class _Costs:
    """The costs (F,) of the features and the radius, float64, in pixel units."""

    costs: Doubles
    budget: float


@dataclass(frozen=True, eq=False)
class _Block:
    """The neurons kept in one layer. Their pre-activations, `constant` + basis @ `matrix` up to
    `drift`, lie in [`low`, `high`], where low < 0 < high."""

    constant: Doubles
    matrix: Doubles
    low: Doubles
    high: Doubles
    drift: Doubles


@dataclass(frozen=True, eq=False)
class _Basis:
    """The columns that are evaluated: z, then each block.

    `high`: their largest values; `own`: errors of their float32 evaluation.
    """

    high: Doubles
    own: Doubles
    blocks: tuple[_Block, ...] = ()


def _relaxed_maximum(constant: Doubles, matrix: Doubles, basis: _Basis, costs: _Costs) -> Doubles:
    """Upper bound of constant + basis @ matrix over the region, outward.

    The triangle relaxation replaces kept ReLUs, from the last block back to z; there the hull's
    support function ends the bound (CROWN: Zhang et al. 2018; DeepPoly: Singh et al. 2019).
    """
    size, error = np.abs(constant), np.zeros(len(constant))
    coefficients = matrix
    for block in reversed(basis.blocks):
        coefficients, mine = coefficients[: len(block.matrix)], coefficients[len(block.matrix) :]
        upper_slope = (block.high / (block.high - block.low))[:, None]
        above, below = (
            np.maximum(mine, 0) * upper_slope,
            np.minimum(mine, 0) * (block.high > -block.low)[:, None],
        )
        slope = above + below
        constant = constant + block.constant @ slope - block.low @ above
        coefficients = coefficients + block.matrix @ slope
        size = size + np.abs(block.constant) @ np.abs(slope) - block.low @ above
        error = error + block.drift @ np.abs(slope)
        size = size + basis.high[: len(block.matrix)] @ (np.abs(block.matrix) @ np.abs(slope))
    size = size + np.abs(coefficients).sum(axis=0)
    return np.asarray(
        constant
        + knapsack_support(coefficients, costs.costs, costs.budget)
        + TERMS_SLACK * size
        + error
    )


def _interval_maximum(constant: Doubles, matrix: Doubles, basis: _Basis, costs: _Costs) -> Doubles:
    """The same bound, with each kept neuron anywhere in [0, high]."""
    features = len(costs.costs)
    moves, neurons = matrix[:features], matrix[features:]
    top = (
        constant
        + knapsack_support(moves, costs.costs, costs.budget)
        + basis.high[features:] @ np.maximum(neurons, 0)
    )
    return np.asarray(top + TERMS_SLACK * (np.abs(constant) + basis.high @ np.abs(matrix)))


def _maximum(constant: Doubles, matrix: Doubles, basis: _Basis, costs: _Costs) -> Doubles:
    """The better of the two bounds, column by column."""
    interval = _interval_maximum(constant, matrix, basis, costs)
    return (
        np.minimum(interval, _relaxed_maximum(constant, matrix, basis, costs))
        if basis.blocks
        else interval
    )


def _bounded(
    constant: Doubles,
    matrix: Doubles,
    basis: _Basis,
    costs: _Costs,
    drift: Doubles,
    runtime: Doubles,
    made: Doubles,
) -> _Map:
    """The map of these coefficients, with its bounds over the region."""
    high = _maximum(constant, matrix, basis, costs) + drift
    low = -_maximum(-constant, -matrix, basis, costs) - drift
    absolute = np.abs(constant) + basis.high @ np.abs(matrix)
    return _Map(constant, matrix, low, high, absolute, drift, runtime, made)


def _first(dense: Dense, rungs: RungSet, basis: _Basis, costs: _Costs) -> _Map:
    """The first layer over the features."""
    layer = dense.layers[0]
    weights = layer.weights.astype(np.float64)
    bias = layer.bias.astype(np.float64)
    base = rungs.base.astype(np.float64)
    change = rungs.moved.astype(np.float64) - base[rungs.axes]
    matrix = np.einsum("gk,gkn->gn", change, weights[rungs.axes])
    largest = base.copy()
    largest[rungs.axes.ravel()] = np.maximum(largest[rungs.axes], rungs.moved).ravel()
    size = np.abs(weights)
    drift = TERMS_SLACK * 2 * (largest @ size + np.abs(bias))
    runtime = layer_error(layer, largest, size)
    return _bounded(base @ weights + bias, matrix, basis, costs, drift, runtime, runtime)


def _next(
    dense: Dense, number: int, before: _Map, basis: _Basis, kept: Ints, grown: _Basis, costs: _Costs
) -> _Map:
    """Layer `number`. Its inputs are the ReLUs of `before`: stable ones fold, `kept` ones are new
    columns of the basis."""
    layer = dense.layers[number]
    weights = layer.weights.astype(np.float64)
    bias = layer.bias.astype(np.float64)
    active = np.flatnonzero(before.low >= 0)
    through = weights[active]
    matrix = np.concatenate([before.matrix[:, active] @ through, weights[kept]])
    constant = bias + before.constant[active] @ through
    size = np.abs(weights)
    drift = before.drift[active] @ size[active]
    drift += TERMS_SLACK * (before.absolute[active] @ size[active] + np.abs(bias))
    error = np.clip(before.high + before.runtime, 0, before.runtime)
    largest = np.maximum(before.high, 0) + error
    made = layer_error(layer, largest, size)
    return _bounded(constant, matrix, grown, costs, drift, error @ size + made, made)


def _own_error(constant: Doubles, matrix: Doubles, drift: Doubles, basis: _Basis) -> Doubles:
    """Error of evaluating columns of a map in float32, the rounding of their coefficients
    included."""
    size = np.abs(matrix)
    return np.asarray(
        drift
        + basis.own @ size
        + float32_error(basis.high + basis.own, size, np.abs(constant), len(size) + 4)
    )


def _costs(rungs: RungSet) -> _Costs:
    """Costs and radius, each the float64 nearest to the exact value. A radius that covers all
    points counts as the sum of all costs."""
    one = rungs.denominator
    budget = min(rungs.budget, sum(rungs.costs))
    return _Costs(
        np.array([float(Fraction(cost, one)) for cost in rungs.costs]), float(Fraction(budget, one))
    )


@final
class FoldedDense:
    """`dense` on the ladder `rungs`, for the property `wanted`, which asks for a label.

    `threshold`: all margins above it in magnitude are certain, and some below it; it is infinite
    where float32 may overflow, and then no label is certain. `neurons`: number of ReLUs that are
    still evaluated. Building costs a few products of the weight matrices.

    Raises UsageError for another property.
    """

    def __init__(self, dense: Dense, rungs: RungSet, wanted: Property) -> None:
        label = label_of(wanted, "folded arithmetic")
        # An overflow ends in an infinite threshold.
        with np.errstate(all="ignore"):
            self._build(dense, rungs, label)

    def _build(self, dense: Dense, rungs: RungSet, label: int) -> None:
        costs = _costs(rungs)
        basis = _Basis(np.ones(rungs.features), np.zeros(rungs.features))
        here = _first(dense, rungs, basis, costs)
        self._features = rungs.features
        self._stages: list[Floats] = []
        self._columns: Floats = np.ones((0, 1), dtype=np.float32)
        hidden: list[Hidden] = []
        for number in range(1, len(dense.layers)):
            kept = np.flatnonzero(~((here.low >= 0) | (here.high <= 0)))
            own = _own_error(here.constant[kept], here.matrix[:, kept], here.drift[kept], basis)
            block = _Block(
                here.constant[kept],
                here.matrix[:, kept],
                here.low[kept],
                here.high[kept],
                here.drift[kept],
            )
            self._keep(block.constant, block.matrix)
            hidden.append(Hidden(here.low, here.high, here.runtime, here.made, kept, own))
            grown = _Basis(
                np.concatenate([basis.high, block.high]),
                np.concatenate([basis.own, own]),
                (*basis.blocks, block),
            )
            here = _next(dense, number, here, basis, kept, grown, costs)
            basis = grown
        others = np.delete(np.arange(dense.classes), label)
        constant = here.constant[label] - here.constant[others]
        matrix = here.matrix[:, [label]] - here.matrix[:, others]
        own = _own_error(constant, matrix, here.drift[label] + here.drift[others], basis)
        self._keep(constant, matrix)
        self._others, self._label = others, label
        error = float((own + here.runtime[label] + here.runtime[others]).max() * (1 + TERMS_SLACK))
        exact = math.isfinite(error) and all(
            bool(np.isfinite(stage).all()) for stage in self._stages
        )
        self.threshold = error + _SOFTMAX * dense.softmax if exact else math.inf
        self.neurons = len(basis.high) - rungs.features
        made = own + here.made[label] + here.made[others] + _SOFTMAX * dense.softmax
        self._errors = MarginErrors(dense, hidden, made, label) if exact else None

    def _keep(self, constant: Doubles, matrix: Doubles) -> None:
        self._stages.append(np.concatenate([constant[None, :], matrix]).astype(np.float32))

    def judge(self, masks: Bools) -> Judged:
        """Labels, margins and close calls of the points with these masks (n, F). Memory: O(n
        neurons)."""
        n, filled = len(masks), 1 + self._features
        columns = self._room(n)
        columns[:, 1:filled] = masks
        with np.errstate(all="ignore"):
            for stage in self._stages[:-1]:
                width = stage.shape[1]
                # A row of zeros is three times faster than a number.
                zero = np.zeros(width, np.float32)
                np.maximum(
                    columns[:, :filled] @ stage, zero, out=columns[:, filled : filled + width]
                )
                filled += width
            margins = columns @ self._stages[-1]
            return self._closely(self._decide(margins), margins, columns)

    def _closely(self, judged: Judged, margins: Floats, columns: Floats) -> Judged:
        """The same, with close calls judged by their own errors."""
        close = np.flatnonzero(judged.close)
        if self._errors is None or not len(close):
            return judged
        here, filled, values = columns[close], 1 + self._features, []
        for stage in self._stages[:-1]:
            values.append((here[:, :filled] @ stage).astype(np.float64))
            filled += stage.shape[1]
        right, wrong = settled(margins[close].astype(np.float64), self._errors.at(values))
        judged.labels[close[right]] = self._label
        judged.close[close] = ~(right | wrong)
        return judged

    def _room(self, n: int) -> Floats:
        """Columns [1, z, kept neurons] of n points, (n, 1 + F + neurons), the first of them filled.
        Calls reuse the array."""
        if n > len(self._columns):
            self._columns = np.ones((n, len(self._stages[-1])), dtype=np.float32)
        return self._columns[:n]

    def _decide(self, margins: Floats) -> Judged:
        """Labels and close calls by the margins (n, classes - 1) against each other class."""
        worst = margins.argmin(axis=1)
        least = margins[np.arange(len(margins)), worst]
        right = least > self.threshold
        labels = np.where(right, self._label, self._others[worst])
        close = ~right
        wrong = np.flatnonzero(least < -self.threshold)
        # Where the label is wrong, the wrong class itself must be certain too.
        if len(wrong):
            rest = np.sort(margins[wrong], axis=1)
            single = rest.shape[1] == 1 or rest[:, 1] - rest[:, 0] > 2 * self.threshold
            close[wrong] = ~np.broadcast_to(np.asarray(single), wrong.shape)
        return Judged(labels, least, close)
