"""The linear relaxation of one hidden layer: two lines for each neuron, and a step backward.

The triangle relaxation of a ReLU p -> max(p, 0) on [low, high] with low < 0 < high: the line above
runs through both ends, the line below through 0 with a slope in [0, 1] (CROWN: Zhang et al. 2018;
DeepPoly: Singh et al. 2019). That slope is alpha in alpha-CROWN (Xu et al. 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Ints
from relrob.domain.rounding import UNDERFLOW
from relrob.networks.enclosure import Deviation


@dataclass(frozen=True, eq=False)
class Signs:
    """Coefficients (n, m) split by sign: `plus` >= 0, `minus` <= 0; their sum is the matrix."""

    plus: Doubles
    minus: Doubles

    @staticmethod
    def of(matrix: Doubles) -> Signs:
        """Split a matrix."""
        return Signs(np.maximum(matrix, 0.0), np.minimum(matrix, 0.0))

    @staticmethod
    def both(matrix: Doubles) -> Signs:
        """Split a matrix and, to its right, its negative: upper and lower bounds in one product."""
        signs = Signs.of(matrix)
        return Signs(np.hstack([signs.plus, -signs.minus]), np.hstack([signs.minus, -signs.plus]))


@dataclass(frozen=True, eq=False)
class PreActivations:
    """Bounds of one layer's pre-activations over a part.

    `low`, `high` (n,): ends of the runtime's own pre-activations; `error` (n,): their distance from
    the real ones of the runtime's inputs, by `deviation`; `magnitude` (n,): of the terms of one.
    Bounds are infinite where float32 may overflow.
    """

    low: Doubles
    high: Doubles
    error: Doubles
    deviation: Deviation
    magnitude: Doubles

    @property
    def crossing(self) -> Bools:
        """Neurons whose pre-activation may change sign."""
        return np.asarray((self.low < 0) & (self.high > 0), dtype=np.bool_)


@dataclass(frozen=True, eq=False)
class Neurons:
    """The relaxation of one hidden layer on a part.

    Two lines bound the outputs of the runtime over pre-activations p (n,): the upper one has
    `upper_slope` and `upper_intercept`, the lower one `lower_slope` and `lower_intercept`. p is the
    real pre-activation of inputs that are off by at most `moved` (n_in,), and is off itself by at
    most `error` (n,). The first layer's `error` holds all of its deviation. `top` (n,): largest
    outputs; `magnitude` (n,): of the terms of p. `beta` (n,), where given: multiples of p, none of
    them below 0 on the part, that are added to a form bounded from above.
    """

    upper_slope: Doubles
    upper_intercept: Doubles
    lower_slope: Doubles
    lower_intercept: Doubles
    moved: Doubles
    error: Doubles
    top: Doubles
    magnitude: Doubles
    beta: Doubles | None = None

    @property
    def underflow(self) -> float:
        """A magnitude that allows for coefficients too small for float64."""
        return UNDERFLOW * float(len(self.magnitude) + (self.magnitude + self.error).sum())


@dataclass(frozen=True, eq=False)
class Phase:
    """The signs that a part fixes in a hidden layer.

    `sides` (n,): 1 where the runtime's pre-activation is at least 0, -1 where it is at most 0, 0
    where it is free; `betas` (n,) >= 0: multipliers of these conditions in a bound of the margins,
    0 where free (beta-CROWN: Wang et al. 2021).
    """

    sides: Doubles
    betas: Doubles


def relaxed(known: PreActivations, cap: float, alphas: Doubles | None, first: bool) -> Neurons:
    """Lines for min(max(p, 0), cap), p in [low, high].

    The lines are the triangle's, or constants where the cap may bite. `alphas` (n,) in [0, 1]:
    lower slopes of neurons that may change sign; without them each slope is 0 or 1, whichever makes
    the smaller triangle.
    """
    low, high = known.low, known.high
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    crossing, on = (low < 0) & (high > 0), low >= 0
    upper_slope = np.where(crossing, high / np.where(crossing, high - low, 1.0), on * 1.0)
    upper_intercept = np.where(crossing, UNDERFLOW - upper_slope * low, 0.0)
    lower_slope = np.where(crossing, high > -low if alphas is None else alphas, on) * 1.0
    lower_intercept = np.zeros_like(upper_slope)
    cut = high > cap
    if cut.any():
        upper_slope = np.where(cut, 0.0, upper_slope)
        upper_intercept = np.where(cut, cap, upper_intercept)
        lower_slope = np.where(cut, 0.0, lower_slope)
        lower_intercept = np.where(cut, np.clip(low, 0.0, cap), lower_intercept)
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


def with_betas(hidden: list[Neurons], phases: Sequence[Phase] | None) -> list[Neurons]:
    """The layers with the betas of their phases."""
    if phases is None:
        return hidden
    pairs = zip(hidden, phases, strict=True)
    return [replace(neurons, beta=phase.sides * phase.betas) for neurons, phase in pairs]


@dataclass(frozen=True, eq=False)
class BackwardForm:
    """A form in one layer's outputs, bounded from above by one in its real pre-activations.

    `used`: the neurons that count; `slope` (k, m): their coefficients; `constant` (m,): the rest;
    `magnitude` (m,): of all terms.
    """

    used: Ints | slice
    slope: Doubles
    constant: Doubles
    magnitude: Doubles


def backward(neurons: Neurons, given: Signs, few: bool) -> BackwardForm:
    """From a form `given` (n, m) in the outputs of a hidden layer to its pre-activations.

    All neurons count; with `few`, only those whose output may differ from 0.
    """
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
    size = np.abs(slope)
    upper = neurons.upper_intercept[used] @ plus
    lower = neurons.lower_intercept[used] @ minus
    if neurons.beta is not None:
        slope, size = slope + neurons.beta[used, None], size + np.abs(neurons.beta[used, None])
    most = upper - lower + (error + neurons.magnitude[used]) @ size
    return BackwardForm(used, slope, upper + lower + error @ size, most + neurons.underflow)
