"""The algebra that turns elementwise steps and dense layers into one layer with its own rounding.

An elementwise step computes fl(v * a) or fl(v + c), with a relative error of at most u = 2^-24. Its
value is some A x + C of x >= 0, the input of the layer. No intermediate is larger than
M(x) = |A| x + K, with K the sum of the sizes of all that was added. After k such roundings, in any
order, the error is at most gamma(k) M(x). After a dense layer of n inputs it is at most
gamma(k + n) (|W| M(x) + |b|). Two dense layers without a ReLU between them are one layer: its
weights are A W2, its sizes M(x) |W2|, and its roundings those of both.
Source: docs/certificates.md, "How far a runtime strays"; N. J. Higham, Accuracy and Stability of
Numerical Algorithms, Sec. 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading.facts import Facts, NoRulesError

Reals = NDArray[np.float64]
# Factors beyond this, or below its inverse, are not modelled; nor are larger constants.
_FACTOR: Final = 2.0**40
_OFFSET: Final = 2.0**60
# No value on the way gets beyond it: `most_in` and `most_out` see to that.
_LARGE: Final = 2.0**120
_FLUSH: Final = 2.0**-125
# Of a layer whose rows are quantised. A row's scale, or its product with a weight's scale, may
# count as 0 or have no inverse, beside sums of 31 bits: the loss is below 2^-116 times the sizes of
# the weights and their integers, of which there are at most 128 n. Inputs below `_MOST_ROW` leave
# products of such sums and scales within float32.
_ROWS: Final = 2**16
_MOST_ROW: Final = Fraction(2**92)
# A factor for more than float64 loses.
_LOOSE: Final = 1 + 2.0**-20


@dataclass(eq=False)
class Map:
    """The result of elementwise steps on x: `factor` * x + `offset`, after `count` roundings.

    `size`: K. `flushed`: the cost of numbers that count as 0. `peak`: the largest factor on the
    way.
    """

    factor: Reals
    offset: Reals
    size: Reals
    flushed: Reals
    peak: Reals
    count: int = 0

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> Map:
        return cls(
            np.ones(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape), np.ones(shape)
        )

    def turned(self, shape: tuple[int, ...], axes: tuple[int, ...] | None = None) -> Map:
        """The same values in another shape, or with their axes exchanged."""
        factor, offset, size, flushed, peak = (
            values.reshape(shape) if axes is None else values.transpose(axes)
            for values in (self.factor, self.offset, self.size, self.flushed, self.peak)
        )
        return Map(factor, offset, size, flushed, peak, self.count)

    def plain(self) -> bool:
        return self.count == 0

    def times(self, by: Reals, roundings: int) -> None:
        """Multiplied by exact numbers."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            self.factor, self.offset = self.factor * by, self.offset * by
            self.size = self.size * np.abs(by)
            self.flushed = self.flushed * np.abs(by) + _FLUSH * (1 + np.abs(by))
        self._rounded(roundings)

    def plus(self, more: Reals, roundings: int) -> None:
        """Exact numbers added."""
        self.offset, self.size = self.offset + more, self.size + np.abs(more)
        self.flushed = self.flushed + 2 * _FLUSH
        self._rounded(roundings)

    def _rounded(self, roundings: int) -> None:
        self.count += roundings
        small = np.abs(self.factor)
        self.peak = np.maximum(self.peak, small)
        if not (
            np.all(small < _FACTOR) and np.all(small > 1 / _FACTOR) and np.all(self.size < _OFFSET)
        ):
            raise NoRulesError("factors or constants between dense layers that are 0, huge or tiny")


@dataclass(frozen=True, eq=False)
class Linear:
    """The result of dense layers without a ReLU: x @ `weights` + `bias`, after `terms` roundings.

    The sizes that are rounded are x @ `sizes` + `size`. `flushed` and `lift`: the cost of numbers
    that count as 0 (`Facts`). Nothing on the way overflows for x below `most_in` and sizes below
    `most_out`.
    """

    weights: Reals
    sizes: Reals
    bias: Reals
    size: Reals
    flushed: Reals
    terms: int
    lift: float
    most_in: float
    most_out: float


@dataclass(eq=False)
class Open:
    """A dense layer that may still get elementwise steps, a ReLU or another dense layer.

    `source`: its inputs. `after`: the steps after it. `share`, `levels`: as in `Facts`.
    """

    weights: Reals
    bias: Reals | None
    terms: int
    source: Map | Linear
    share: Fraction
    levels: bool
    after: Map


def linear(made: Open) -> Linear:
    """A dense layer with the steps before and after it. The roundings of float64 here are far below
    one rounding of float32, which is added."""
    before, after, size = made.source, made.after, np.abs(made.weights)
    own = np.zeros(size.shape[1]) if made.bias is None else made.bias
    if isinstance(before, Map):
        within = np.abs(before.factor)
        weights, offset = before.factor[:, None] * made.weights, before.offset @ made.weights
        sizes, terms, most_in = np.abs(weights), before.count, _LARGE / float(before.peak.max())
        lift = max(1.0, *(float(v) for v in (within.max(), before.size.max(), 1 / within.min())))
    else:
        weights, offset = before.weights @ made.weights, before.bias @ made.weights
        sizes, terms, most_in = before.sizes @ size * _LOOSE, before.terms, _entering(before)
        lift = _lifted(before, size)
    out = np.abs(after.factor)
    whole = (before.size @ size + np.abs(own)) * out + after.size
    return Linear(
        weights * after.factor,
        sizes * out,
        (offset + own) * after.factor + after.offset,
        whole,
        (before.flushed @ size) * out + after.flushed,
        terms + made.terms + after.count + 1,
        max(1.0, float(out.max())) * lift,
        most_in,
        _LARGE / float((after.peak / out).max()),
    )


def _entering(before: Linear) -> float:
    """The most that x may be, so that the layer before stays below its `most_out`."""
    if not before.size.max() < before.most_out / 2:
        raise NoRulesError("constants between dense layers that are huge")
    return min(
        before.most_in, before.most_out / 2 / max(float(before.sizes.sum(axis=0).max()), 1.0)
    )


def _lifted(before: Linear, size: Reals) -> float:
    """The loss of two layers to numbers that count as 0, as a multiple of that of the first one's
    inputs alone.

    A layer loses at most 2^-125 (sum of its inputs + column of its weights + 2 n + 2).
    """
    column = float(size.sum(axis=0).max())
    first = before.lift * (1 + float(before.sizes.sum(axis=0).max())) * column
    second = float(before.sizes.sum(axis=1).max() + before.size.sum()) + column + 2 * len(size) + 2
    return (first + second) * _LOOSE


def facts_of(made: Open, relu: bool) -> Facts:
    """One layer."""
    found = _facts(made, relu)
    if not made.share:
        return found
    return replace(found, lift=found.lift * _ROWS, most_in=min(found.most_in, _MOST_ROW))


def _facts(made: Open, relu: bool) -> Facts:
    if isinstance(made.source, Map) and made.source.plain() and made.after.plain():
        own = np.zeros(made.weights.shape[1]) if made.bias is None else made.bias
        bias = [Fraction(float(value)) for value in own]
        return Facts(made.weights, bias, relu, made.terms, share=made.share, levels=made.levels)
    found = linear(made)
    return Facts(
        found.weights,
        [Fraction(float(value)) for value in found.bias],
        relu,
        found.terms,
        share=made.share,
        levels=made.levels,
        sizes=found.sizes,
        extra=np.maximum(found.size - np.abs(found.bias), 0.0) * _LOOSE + 2.0**-60 * found.size,
        slack=found.flushed * _LOOSE,
        lift=Fraction(found.lift),
        most_in=Fraction(found.most_in),
        most_out=Fraction(found.most_out),
    )
