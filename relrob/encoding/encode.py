"""The question that SMT and MILP solvers are asked: a part of a ladder or a ball, its unstable
ReLUs, and the refutations of the label.

1. The unknowns v are the free features x in {0,1} (of a ball, the moves of pixels, x in [0,1]) and
   the outputs a of unstable neurons. Neurons that bounds fix are folded away.
2. The runtime's deviation from real arithmetic stays one unknown for each neuron while layers are
   folded, so it is weighted with its signed path. It becomes a constant in the rows that remain.
3. Every number is rounded to a multiple of a power of two, `BITS` below the largest coefficient of
   its row. The change by rounding widens the row's constants, outward.

So each behaviour of the runtime on a point of the part satisfies the constraints exactly as they
are written. If they have no solution, the label is proved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, isfinite
from typing import Final

import numpy as np

from relrob.bounding.ball import Moves
from relrob.bounding.relaxation import PreActivations
from relrob.bounding.survey import Bounded, P, Survey, stable_relus, unstable_relus
from relrob.domain.arrays import Bools, Doubles, Ints
from relrob.domain.rounding import UNDERFLOW, WIDEST_SLACK
from relrob.networks.enclosure import EnclosedLayer
from relrob.regions.part import Part

BITS: Final = 16
_SLOPE: Final = 2.0**-10
_SMALLEST: Final = 2.0**-900


@dataclass(frozen=True, eq=False)
class Neuron:
    """An unstable neuron with pre-activation p and output a = min(max(p, 0), cap).

    lower <= p - coefficients @ v <= upper, low <= p <= high, and cap is some number in [`cap_low`,
    `cap_high`] (infinite: none). The unknowns v are the features, then the outputs of unstable
    neurons in order; the neuron's own and later ones have coefficient 0.
    """

    coefficients: Doubles
    lower: float
    upper: float
    low: float
    high: float
    cap_low: float = inf
    cap_high: float = inf

    @property
    def capped(self) -> bool:
        """Can the output reach its cap?"""
        return isfinite(self.cap_high)

    @property
    def top(self) -> float:
        """The largest output."""
        return min(self.high, self.cap_high)

    def line(self) -> tuple[float, float]:
        """(slope, intercept) of a line above the ReLU on [low, high].

        max(p, 0) <= slope * p + intercept holds exactly for these floats.
        """
        if self.low >= 0:
            return 1.0, 0.0
        slope = float(np.rint(self.high / (self.high - self.low) / _SLOPE)) * _SLOPE
        exact = Fraction(slope)
        offset = max(-exact * Fraction(self.low), (1 - exact) * Fraction(self.high))
        near = float(offset)
        return slope, near if Fraction(near) >= offset else float(np.nextafter(near, inf))


@dataclass(frozen=True, eq=False)
class Refutation:
    """Class `rival` can be the runtime's label, or tie, only where coefficients @ v <= limit."""

    rival: int
    coefficients: Doubles
    limit: float


@dataclass(frozen=True, eq=False)
class Encoding:
    """The question about one part: does some v satisfy the neurons and a refutation?

    Without `refutations` the bounds proved the label. A network whose float32 may overflow has one
    refutation, which holds everywhere.
    """

    part: Part | Moves
    neurons: tuple[Neuron, ...]
    refutations: tuple[Refutation, ...]

    @property
    def tops(self) -> Doubles:
        """Largest value (variables,) of each unknown; the smallest is 0."""
        return _tops(self.part, list(self.neurons))

    def costs(self) -> tuple[list[int], int]:
        """(costs of the free features, rest of the radius), integers in the largest unit that
        measures all."""
        return self.part.prices()

    @property
    def ladder(self) -> Part:
        """The part of a ladder that the question is about. Raises TypeError for a ball."""
        if not isinstance(self.part, Part):
            raise TypeError("a question about a ball, where one about a ladder was meant")
        return self.part

    def mask(self, chosen: list[bool]) -> Bools:
        """The mask (F,) of the point at which these free features are moved."""
        part = self.ladder
        mask = np.zeros(part.rungs.features, dtype=np.bool_)
        mask[list(part.moved)] = True
        mask[[g for g, taken in zip(part.free, chosen, strict=True) if taken]] = True
        return mask


@dataclass(frozen=True, eq=False)
class _Forms:
    """Values (n,) as constant + v @ inputs + e @ errors, where |e| <= `sizes`; `magnitude` (n,): of
    all terms."""

    constant: Doubles
    inputs: Doubles
    errors: Doubles
    sizes: Doubles
    magnitude: Doubles

    def times(self, matrix: Doubles) -> _Forms:
        """The forms of the values @ matrix."""
        return _Forms(
            self.constant @ matrix,
            self.inputs @ matrix,
            self.errors @ matrix,
            self.sizes,
            self.magnitude @ np.abs(matrix),
        )

    def plus(self, bias: Doubles) -> _Forms:
        """The forms with a bias added."""
        return _Forms(
            self.constant + bias,
            self.inputs,
            self.errors,
            self.sizes,
            self.magnitude + np.abs(bias),
        )

    def floored(self, tops: Doubles) -> _Forms:
        """The forms with a magnitude that allows for coefficients too small for float64; `tops`:
        largest values of the inputs."""
        return replace(
            self, magnitude=self.magnitude + UNDERFLOW * float(1 + tops.sum() + self.sizes.sum())
        )

    def width(self) -> Doubles:
        """The largest distance (n,) of the values from constant + v @ inputs."""
        return self.sizes @ np.abs(self.errors) + WIDEST_SLACK * self.magnitude


@dataclass(frozen=True, eq=False)
class _RoundedRow:
    """lower <= value - coefficients @ v <= upper, rounded outward to multiples of `unit`."""

    coefficients: Doubles
    lower: float
    upper: float
    unit: float

    def down(self, value: float) -> float:
        """Outward, as the row's own numbers."""
        return float(np.floor(value / self.unit)) * self.unit

    def up(self, value: float) -> float:
        """Outward, as the row's own numbers."""
        return -self.down(-value)


def _row(coefficients: Doubles, constant: float, width: float, tops: Doubles) -> _RoundedRow:
    """The row of a value within `width` of constant + coefficients @ v."""
    largest = max(
        float(np.abs(coefficients).max(initial=0.0)), (abs(constant) + width) * 2.0**-20, _SMALLEST
    )
    unit = 2.0 ** (int(np.frexp(largest)[1]) - BITS)
    kept = np.rint(coefficients / unit) * unit
    lost = (coefficients - kept) * tops
    below = float(np.minimum(lost, 0).sum()) * (1 + WIDEST_SLACK)
    above = float(np.maximum(lost, 0).sum()) * (1 + WIDEST_SLACK)
    outward = _RoundedRow(kept, 0.0, 0.0, unit)
    return _RoundedRow(
        kept, outward.down(constant - width + below), outward.up(constant + width + above), unit
    )


def encode(bounds: Bounded[P], found: Survey[P]) -> Encoding:
    """The question whether the network gives the label of `bounds` on every point of the surveyed
    part."""
    part, last = found.part, found.known[-1]
    everywhere = Encoding(part, (), (Refutation(-1, np.zeros(len(part.free)), 0.0),))
    if not found.threats:
        return Encoding(part, (), ())
    with np.errstate(all="ignore"):
        folded = _folded(bounds, found)
    if folded is None:
        return everywhere
    forms, neurons = folded
    tops = _tops(part, neurons)
    refutations = []
    for rival, signs, limit in found.threats:
        form, error = forms.times(signs[:, None]), float(last.error @ np.abs(signs))
        row = _row(
            form.inputs[:, 0],
            float(form.constant[0]),
            float(form.width()[0]) + error * (1 + WIDEST_SLACK),
            tops,
        )
        rest = row.up(limit - row.lower + WIDEST_SLACK * (abs(limit) + abs(row.lower)))
        refutations.append(Refutation(rival, row.coefficients, rest))
    whole = Encoding(
        part, tuple(_padded(neuron, len(tops)) for neuron in neurons), tuple(refutations)
    )
    return whole if all(isfinite(refutation.limit) for refutation in refutations) else everywhere


def _tops(part: Part | Moves, neurons: list[Neuron]) -> Doubles:
    """The largest value of each unknown so far."""
    return np.array([1.0] * len(part.free) + [neuron.top for neuron in neurons])


def _folded(bounds: Bounded[P], found: Survey[P]) -> tuple[_Forms, list[Neuron]] | None:
    """The outputs as forms, without the last layer's own error, and the unstable neurons; None
    where a number is not finite."""
    layers, at = bounds.enclosure.layers, bounds.at(found.part)
    width = len(layers[0].bias)
    forms = _Forms(at.start, at.moves, np.zeros((0, width)), np.zeros(0), found.known[0].magnitude)
    forms, neurons = forms.floored(_tops(found.part, [])), list[Neuron]()
    for known, layer, after in zip(found.known, layers, layers[1:], strict=False):
        if not _finite(forms, known):
            return None
        tops, kept = _tops(found.part, neurons), np.flatnonzero(unstable_relus(known, layer))
        fresh = [_neuron(forms, known, layer, int(n), tops) for n in kept]
        if not all(map(_ended, fresh)):
            return None
        forms = (
            _passed(forms, known, stable_relus(known, layer), kept, fresh)
            .times(after.weights)
            .plus(after.bias)
        )
        neurons += fresh
        forms = forms.floored(_tops(found.part, neurons))
    finite = isfinite(bounds.enclosure.gap) and _finite(forms, found.known[-1])
    return (forms, neurons) if finite else None


def _ended(neuron: Neuron) -> bool:
    """Are all its numbers finite?"""
    return all(map(isfinite, (neuron.lower, neuron.upper, neuron.low, neuron.high, *neuron.line())))


def _finite(forms: _Forms, known: PreActivations) -> bool:
    parts = (
        forms.constant,
        forms.inputs,
        forms.errors,
        forms.sizes,
        forms.magnitude,
        known.low,
        known.high,
        known.error,
    )
    return all(bool(np.isfinite(part).all()) for part in parts)


def _neuron(
    forms: _Forms, known: PreActivations, layer: EnclosedLayer, n: int, tops: Doubles
) -> Neuron:
    """Neuron n of a layer, its coefficients over the unknowns so far."""
    width = float(
        forms.sizes @ np.abs(forms.errors[:, n])
        + WIDEST_SLACK * forms.magnitude[n]
        + known.error[n] * (1 + WIDEST_SLACK)
    )
    row = _row(forms.inputs[:, n], float(forms.constant[n]), width, tops)
    low, high = row.down(float(known.low[n])), row.up(float(known.high[n]))
    if known.high[n] <= layer.cap:
        return Neuron(row.coefficients, row.lower, row.upper, low, high)
    caps = row.down(layer.cap * (1 - WIDEST_SLACK)), row.up(layer.cap * (1 + WIDEST_SLACK))
    return Neuron(row.coefficients, row.lower, row.upper, low, high, *caps)


def _passed(
    forms: _Forms, known: PreActivations, on: Bools, kept: Ints, neurons: list[Neuron]
) -> _Forms:
    """The outputs of a layer's ReLUs: forms with own errors for the stable neurons that are `on`,
    new unknowns for the unstable ones, `kept`."""
    n, live = len(on), np.flatnonzero(on)
    fresh = np.zeros((len(kept), n))
    fresh[np.arange(len(kept)), kept] = 1.0
    own = np.zeros((len(live), n))
    own[np.arange(len(live)), live] = 1.0
    magnitude = np.where(on, forms.magnitude + known.error, 0.0)
    magnitude[kept] = [neuron.top for neuron in neurons]
    return _Forms(
        forms.constant * on,
        np.vstack([forms.inputs * on, fresh]),
        np.vstack([forms.errors * on, own]),
        np.concatenate([forms.sizes, known.error[live]]),
        magnitude,
    )


def _padded(neuron: Neuron, size: int) -> Neuron:
    """The neuron with coefficients over all unknowns."""
    whole = np.zeros(size)
    whole[: len(neuron.coefficients)] = neuron.coefficients
    return Neuron(
        whole, neuron.lower, neuron.upper, neuron.low, neuron.high, neuron.cap_low, neuron.cap_high
    )
