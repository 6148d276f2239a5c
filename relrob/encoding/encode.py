"""What SMT and MILP are asked: a part of a ladder or a ball, the ReLUs that bounds do not decide,
and the claims that would refute the label.

Unknowns are the free features x in {0,1} (of a ball, the moves of pixels x in [0,1]) and the
outputs a of unstable neurons; neurons that bounds fix are folded away. The distance of the runtime
from real arithmetic stays one unknown a neuron while layers are folded, so that it is weighted with
its signed path, and becomes a constant only in the rows that remain. Every number is then rounded
to a multiple of a power of two (`BITS` below the largest coefficient of its row), and what this
moves is added to the row's constant, outward. So each behaviour of the runtime on a point of the
part satisfies the constraints exactly as they are written: no solution is a proof.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, isfinite
from typing import Final

import numpy as np

from relrob.bounding.ball import Moves
from relrob.bounding.linear import PreActivations
from relrob.bounding.outward import FLOOR, SLACK
from relrob.bounding.survey import Bounded, P, Survey, stable_relus, unstable_relus
from relrob.domain.arrays import Bools, Doubles, Ints
from relrob.networks.enclosure import EnclosedLayer
from relrob.regions.part import Part

BITS: Final = 16
_SLOPE: Final = 2.0**-10
_SMALLEST: Final = 2.0**-900


@dataclass(frozen=True, eq=False)
class Neuron:
    """An unstable neuron: lower <= p - coefficients @ v <= upper, low <= p <= high, its output a =
    min(max(p, 0), cap) with some cap in [`cap_low`, `cap_high`] (infinite: none). v: the features,
    then the outputs of unstable neurons in order; its own and later ones have coefficient 0."""

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
        """(slope, offset) of a line above the ReLU on [low, high]: max(p, 0) <= slope * p + offset,
        exactly as floats."""
        if self.low >= 0:
            return 1.0, 0.0
        slope = float(np.rint(self.high / (self.high - self.low) / _SLOPE)) * _SLOPE
        exact = Fraction(slope)
        offset = max(-exact * Fraction(self.low), (1 - exact) * Fraction(self.high))
        near = float(offset)
        return slope, near if Fraction(near) >= offset else float(np.nextafter(near, inf))


@dataclass(frozen=True, eq=False)
class Claim:
    """Class `rival` may be what the runtime says, or tie, only where coefficients @ v <= limit."""

    rival: int
    coefficients: Doubles
    limit: float


@dataclass(frozen=True, eq=False)
class Encoding:
    """The question about one part: does some v satisfy the neurons and a claim? `claims` empty: the
    bounds proved the label. A network whose float32 may overflow has one claim, which holds
    everywhere."""

    part: Part | Moves
    neurons: tuple[Neuron, ...]
    claims: tuple[Claim, ...]

    @property
    def tops(self) -> Doubles:
        """Largest value (variables,) of each unknown; the smallest is 0."""
        return _tops(self.part, list(self.neurons))

    def costs(self) -> tuple[list[int], int]:
        """(costs of the free features, what is left of the radius) in the largest unit that
        measures all, integers."""
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
    """Values (n,) as constant + v @ inputs + e @ errors, where |e| <= `sizes`; `reach` (n,):
    magnitude of all terms."""

    constant: Doubles
    inputs: Doubles
    errors: Doubles
    sizes: Doubles
    reach: Doubles

    def times(self, matrix: Doubles) -> _Forms:
        """Of the values @ matrix."""
        return _Forms(
            self.constant @ matrix,
            self.inputs @ matrix,
            self.errors @ matrix,
            self.sizes,
            self.reach @ np.abs(matrix),
        )

    def plus(self, bias: Doubles) -> _Forms:
        """With a bias added."""
        return _Forms(
            self.constant + bias, self.inputs, self.errors, self.sizes, self.reach + np.abs(bias)
        )

    def floored(self, tops: Doubles) -> _Forms:
        """With a magnitude that allows for coefficients too small for float64; `tops`: the inputs'
        largest values."""
        return replace(self, reach=self.reach + FLOOR * float(1 + tops.sum() + self.sizes.sum()))

    def width(self) -> Doubles:
        """How far the values can be from constant + v @ inputs (n,)."""
        return self.sizes @ np.abs(self.errors) + SLACK * self.reach


@dataclass(frozen=True, eq=False)
class _Row:
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


def _row(coefficients: Doubles, constant: float, width: float, tops: Doubles) -> _Row:
    """The row of value = constant + coefficients @ v, up to `width`."""
    largest = max(
        float(np.abs(coefficients).max(initial=0.0)), (abs(constant) + width) * 2.0**-20, _SMALLEST
    )
    unit = 2.0 ** (int(np.frexp(largest)[1]) - BITS)
    kept = np.rint(coefficients / unit) * unit
    lost = (coefficients - kept) * tops
    below = float(np.minimum(lost, 0).sum()) * (1 + SLACK)
    above = float(np.maximum(lost, 0).sum()) * (1 + SLACK)
    outward = _Row(kept, 0.0, 0.0, unit)
    return _Row(
        kept, outward.down(constant - width + below), outward.up(constant + width + above), unit
    )


def encode(bounds: Bounded[P], found: Survey[P]) -> Encoding:
    """The question whether the network gives the label of `bounds` on every point of the surveyed
    part."""
    part, last = found.part, found.known[-1]
    everywhere = Encoding(part, (), (Claim(-1, np.zeros(len(part.free)), 0.0),))
    if not found.threats:
        return Encoding(part, (), ())
    with np.errstate(all="ignore"):
        folded = _folded(bounds, found)
    if folded is None:
        return everywhere
    forms, neurons = folded
    tops = _tops(part, neurons)
    claims = []
    for rival, signs, limit in found.threats:
        form, error = forms.times(signs[:, None]), float(last.error @ np.abs(signs))
        row = _row(
            form.inputs[:, 0],
            float(form.constant[0]),
            float(form.width()[0]) + error * (1 + SLACK),
            tops,
        )
        rest = row.up(limit - row.lower + SLACK * (abs(limit) + abs(row.lower)))
        claims.append(Claim(rival, row.coefficients, rest))
    whole = Encoding(part, tuple(_padded(neuron, len(tops)) for neuron in neurons), tuple(claims))
    return whole if all(isfinite(claim.limit) for claim in claims) else everywhere


def _tops(part: Part | Moves, neurons: list[Neuron]) -> Doubles:
    """Largest value of each unknown so far."""
    return np.array([1.0] * len(part.free) + [neuron.top for neuron in neurons])


def _folded(bounds: Bounded[P], found: Survey[P]) -> tuple[_Forms, list[Neuron]] | None:
    """The outputs as forms (without the last layer's own error) and the unstable neurons; None
    where something is not finite."""
    layers, at = bounds.enclosure.layers, bounds.at(found.part)
    width = len(layers[0].bias)
    forms = _Forms(at.start, at.moves, np.zeros((0, width)), np.zeros(0), found.known[0].reach)
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
        forms.reach,
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
        + SLACK * forms.reach[n]
        + known.error[n] * (1 + SLACK)
    )
    row = _row(forms.inputs[:, n], float(forms.constant[n]), width, tops)
    low, high = row.down(float(known.low[n])), row.up(float(known.high[n]))
    if known.high[n] <= layer.cap:
        return Neuron(row.coefficients, row.lower, row.upper, low, high)
    caps = row.down(layer.cap * (1 - SLACK)), row.up(layer.cap * (1 + SLACK))
    return Neuron(row.coefficients, row.lower, row.upper, low, high, *caps)


def _passed(
    forms: _Forms, known: PreActivations, on: Bools, kept: Ints, neurons: list[Neuron]
) -> _Forms:
    """What the ReLUs of a layer let through: the forms of the stable neurons with their own errors,
    new unknowns for the others."""
    n, live = len(on), np.flatnonzero(on)
    fresh = np.zeros((len(kept), n))
    fresh[np.arange(len(kept)), kept] = 1.0
    own = np.zeros((len(live), n))
    own[np.arange(len(live)), live] = 1.0
    reach = np.where(on, forms.reach + known.error, 0.0)
    reach[kept] = [neuron.top for neuron in neurons]
    return _Forms(
        forms.constant * on,
        np.vstack([forms.inputs * on, fresh]),
        np.vstack([forms.errors * on, own]),
        np.concatenate([forms.sizes, known.error[live]]),
        reach,
    )


def _padded(neuron: Neuron, size: int) -> Neuron:
    """With coefficients over all unknowns."""
    whole = np.zeros(size)
    whole[: len(neuron.coefficients)] = neuron.coefficients
    return Neuron(
        whole, neuron.lower, neuron.upper, neuron.low, neuron.high, neuron.cap_low, neuron.cap_high
    )
