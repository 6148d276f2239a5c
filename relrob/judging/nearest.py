"""A dynamic-range network on a ladder, for every kernel that quantises rows to the nearest level:
margins and their errors.

Each layer takes a row h >= 0 (pixels, or the outputs of ReLUs) to the levels nearest to h * T /
max(h); T is 255 with a zero point, 127 without. It sums the integers exactly, multiplies by the
scales of the row and of the weights, and adds the bias, in float32. Kernels differ in two ways
only: in the order of the last few roundings, and in the level of a value that is within rounding of
a half. `judge` evaluates one such kernel and bounds the distance of all others from it. Where no
level of a point is near a half, the distance is rounding alone. Otherwise each doubtful level may
be the next one, and the layers after it inherit the doubt.

On a ladder the first layer costs one product with the features. A point has one of few largest
pixels, and for each of these all levels are known. So the integer sums are those of the clean image
plus a term for each moved feature. Neurons that are off on the whole ladder are left out. Integers
travel as float32, exactly: all partial sums are below 2^24.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.networks.exact_dot import SINGLE
from relrob.networks.litert.layers import DynamicFull
from relrob.queries.properties import Property, label_of
from relrob.regions.ladder import RungSet

_U: Final = 2.0**-24
# Relative: two evaluations of scales, products and bias, at most five roundings each.
_ROUNDINGS: Final = 12 * _U * 1.01
# Relative: two evaluations of h * (T / max(h)).
_QUOTIENT: Final = 6 * _U
# A pixel nearer to the half between two levels is looked up.
_PIXEL: Final = 2.0**-11
# Levels that are off by less than this, before rounding, are the next ones at most.
_UNSURE: Final = 0.9
# Rows with a smaller maximum are left to the runtime.
_TINY: Final = 2.0**-60
_LOOSE: Final = 1.01
# The error of a difference of two float32 probabilities (exp within 2^-14).
_SOFTMAX: Final = 2.0**-13
# The number of outputs from which it pays to look for inputs that are 0.
_WIDE: Final = 64
# Points at a time: the values between the layers stay in the cache.
_ROWS: Final = 512


@dataclass(frozen=True, eq=False)
class Near:
    """The evaluation by one kernel, and the doubt about all others.

    `margins` (n,): of the true label; `labels` (n,); `error` (n,): the largest difference of any
    kernel's margin, infinite where nothing is known; `sure` (n,): every kernel gives the label.
    """

    margins: Doubles
    labels: Ints
    error: Doubles
    sure: Bools


@dataclass(frozen=True, eq=False)
class _Stage:
    """A layer after the first, on the neurons that can be on.

    `weights` (k, m): integers; `scales`, `bias` (m,): float32; `bound`: at least every output that
    matters, plus two biases; `effect` (k,): the largest change of an output by one unit of an
    input; in the last layer, of the difference between two outputs.
    """

    weights: Floats
    scales: Floats
    bias: Floats
    bound: float
    effect: Floats


@dataclass(frozen=True, eq=False)
class _Sums:
    """The integer sums of the first layer for one largest pixel.

    `table` (1 + F, m), float32: the sums of the clean image, then the term of each moved feature;
    `scale`: of the row; `sure`: no level is near a half.
    """

    table: Floats
    scale: np.float32
    sure: bool


@dataclass
class _Doubt:
    """The doubt about each row between two layers; infinite where nothing is known.

    `near` (n,): the most that rounding changes a value; `spread` (n,): the most that doubtful
    levels change a value; after the last layer, the difference between two outputs.
    """

    near: Doubles
    spread: Doubles


@final
class NearestDense:
    """Dynamic-range `layers` (ReLU, ..., ReLU, none) on the ladder `rungs`, for the property
    `wanted`, which asks for a label.

    `order`: raster index of each value that the file reads; None for raster order.
    `highest`: upper bounds of each layer's pre-activations over the ladder; for the last layer, of
    the magnitude of its outputs.
    `top`: T, the number of levels.
    `quantiser`: from images (n, d) to the pixels that the runtime gives its first layer; None to
    leave pixels near a half alone.
    `gap`: given where the runtime's outputs, and so the margins, are probabilities: logits that
    differ by more keep their order.
    `exact`: False where integer sums leave float32; then nothing may be judged.

    Raises UsageError for another property.
    """

    def __init__(
        self,
        layers: Sequence[DynamicFull],
        top: int,
        rungs: RungSet,
        wanted: Property,
        highest: Sequence[Doubles],
        order: Ints | None = None,
        quantiser: Callable[[Floats], Floats] | None = None,
        gap: float | None = None,
    ) -> None:
        self._quantiser, self._gap = quantiser, gap
        self._rungs, self._top = rungs, top
        self._label = label_of(wanted, "rounding to the nearest level")
        live = [~(high <= 0) for high in highest[:-1]]
        first = layers[0]
        self._weights = np.empty(first.weights.shape, np.float32)
        self._weights[slice(None) if order is None else order] = first.weights
        self._weights = self._weights[:, live[0]]
        self._scales, self._bias = _columns(first, live[0])
        self._bound = _bound(highest[0][live[0]], self._bias)
        shown = [*live, np.ones(layers[-1].weights.shape[1], np.bool_)]
        self._stages = [
            _stage(
                layer,
                shown[number],
                shown[number + 1],
                highest[number + 1],
                number + 2 == len(layers),
            )
            for number, layer in enumerate(layers[1:])
        ]
        sums = [
            np.abs(stage.weights).sum(axis=0).max(initial=0.0) * (top + 1) for stage in self._stages
        ]
        self.exact = bool(max(sums) < SINGLE and all(np.isfinite(high).all() for high in highest))
        still = np.ones(len(rungs.base), np.bool_)
        still[rungs.axes.ravel()] = False
        self._still = rungs.base[still].max(initial=np.float32(0))
        self._ends = rungs.base[rungs.axes].max(axis=1), rungs.moved.max(axis=1)
        self._tables: dict[float, _Sums] = {}

    def judge(self, masks: Bools) -> Near:
        """Margins, labels and errors of the points with these masks (n, F). Nothing is known where
        a pixel's level is near a half."""
        n = len(masks)
        found = Near(np.zeros(n), np.zeros(n, np.int64), np.full(n, np.inf), np.zeros(n, np.bool_))
        kept, moved = self._ends
        largest = np.maximum(np.where(masks, moved, kept).max(axis=1), self._still)
        for level in np.unique(largest):
            sums = self._sums(level)
            rows = np.flatnonzero(largest == level) if sums.sure else np.zeros(0, np.int64)
            for start in range(0, len(rows), _ROWS):
                some = rows[start : start + _ROWS]
                near = self._judge(masks[some], sums)
                found.margins[some], found.labels[some] = near.margins, near.labels
                found.error[some], found.sure[some] = near.error, near.sure
        return found

    def _judge(self, masks: Bools, sums: _Sums) -> Near:
        """Points of one largest pixel."""
        columns = np.ones((len(masks), 1 + masks.shape[1]), np.float32)
        columns[:, 1:] = masks
        with np.errstate(all="ignore"):
            values: Floats = columns @ sums.table
            values *= sums.scale * self._scales
            values += self._bias
            doubt = _Doubt(np.full(len(masks), _ROUNDINGS * self._bound), np.zeros(len(masks)))
            for stage in self._stages:
                values = self._next(stage, values, doubt)
            return self._decide(values, doubt.spread + 2 * doubt.near)

    def _sums(self, largest: np.float32) -> _Sums:
        """The sums of images whose largest pixel is this; kept."""
        if float(largest) not in self._tables:
            self._tables[float(largest)] = self._made(largest)
        return self._tables[float(largest)]

    def _made(self, largest: np.float32) -> _Sums:
        """Levels of every pixel, clean and moved, and their sums."""
        rungs, one = self._rungs, self._top / max(float(largest), _TINY)
        shown = np.stack([rungs.base, rungs.base])
        shown[1, rungs.axes] = rungs.moved
        # No larger pixel is in these images.
        np.minimum(shown, largest, out=shown)
        levels, sure = self._levels(shown, shown.astype(np.float64) * one, largest)
        change = np.einsum(
            "gk,gkn->gn",
            (levels[1] - levels[0])[rungs.axes],
            self._weights[rungs.axes].astype(np.float64),
        )
        table = np.concatenate([(levels[:1] @ self._weights), change])
        sure &= bool(largest >= _TINY and (np.abs(table).sum(axis=0) < SINGLE).all())
        return _Sums(table.astype(np.float32), np.float32(largest) / np.float32(self._top), sure)

    def _levels(self, shown: Floats, exact: Doubles, largest: np.float32) -> tuple[Doubles, bool]:
        """The levels of pixels `shown` (2, d), which are `exact` before rounding; are all known?

        Levels near a half are read off the runtime's own quantisation of such a row.
        """
        levels = np.rint(exact)
        doubtful = np.abs(exact - levels) > 0.5 - _PIXEL
        clear = np.flatnonzero(~doubtful.any(axis=0))
        if not doubtful.any():
            return levels, True
        if self._quantiser is None or not len(clear):
            return levels, False
        rows = shown.copy()
        rows[:, clear[0]] = largest
        found = self._quantiser(rows) * (self._top / max(float(largest), _TINY))
        levels[doubtful] = np.rint(found[doubtful])
        off = np.maximum(np.abs(found - levels), np.abs(levels - exact) - 0.5)[doubtful]
        return levels, bool((off < 2 * _PIXEL).all())

    def _next(self, stage: _Stage, values: Floats, doubt: _Doubt) -> Floats:
        """Through a ReLU and a layer. `values` (n, k) are overwritten; `doubt` is updated."""
        # A row of zeros is three times faster than a number.
        np.maximum(values, np.zeros(values.shape[1], np.float32), out=values)
        top = values.max(axis=1, initial=np.float32(0))
        live = np.flatnonzero(values.max(axis=0) > 0) if len(stage.bias) >= _WIDE else None
        values *= (np.float32(self._top) / top)[:, None]
        levels = np.rint(values)
        values -= levels
        np.abs(values, out=values)
        off = self._top * (2 * (doubt.near + doubt.spread) / top + _QUOTIENT)
        np.greater(values, (0.5 - off).astype(np.float32)[:, None], out=values)
        scales = top / np.float32(self._top)
        spread = np.where(
            off < _UNSURE, _LOOSE * scales.astype(np.float64) * (values @ stage.effect), np.inf
        )
        doubt.near = (doubt.near / top + _ROUNDINGS) * stage.bound * _LOOSE
        doubt.spread = np.where(top >= _TINY, spread, np.inf)
        if live is None:
            outputs: Floats = levels @ stage.weights
        else:
            # Neurons that are off in all of these points are left out.
            outputs = levels.take(live, axis=1) @ stage.weights.take(live, axis=0)
        outputs *= (
            scales[:, None] * stage.scales
            if len(stage.scales) > 1
            else (scales * stage.scales)[:, None]
        )
        outputs += stage.bias
        return outputs

    def _decide(self, outputs: Floats, error: Doubles) -> Near:
        """Margins, labels and errors by the outputs (n, classes)."""
        wide = outputs.astype(np.float64)
        margins, best, lead = _margins(wide, self._label)
        sure = lead > error + (self._gap or 0.0)
        # Logits that change by e change a difference of their probabilities by e at most.
        if self._gap is not None:
            powers = np.exp(wide - wide.max(axis=1, keepdims=True))
            margins = _margins(powers / powers.sum(axis=1, keepdims=True), self._label)[0]
            error = error + _SOFTMAX
        error = np.where(np.isfinite(margins) & ~np.isnan(error), error, np.inf)
        return Near(margins, best, error, sure)


def _margins(outputs: Doubles, label: int) -> tuple[Doubles, Ints, Doubles]:
    """(margins of the label, best class, its lead over the second), each (n,)."""
    rows, best = np.arange(len(outputs)), outputs.argmax(axis=1)
    first, mine, others = outputs[rows, best], outputs[:, label], outputs.copy()
    others[rows, best] = -np.inf
    lead = first - others.max(axis=1)
    return np.where(best == label, lead, mine - first), best, lead


def _columns(layer: DynamicFull, out: Bools) -> tuple[Floats, Floats]:
    """Scales (one, or one for each neuron) and biases of the neurons `out`."""
    return (layer.scales if len(layer.scales) == 1 else layer.scales[out]), layer.bias[out]


def _bound(high: Doubles, bias: Floats) -> float:
    """At least every output that matters, plus two biases."""
    return float(
        np.maximum(high, 0).max(initial=0.0) + 2 * np.abs(bias.astype(np.float64)).max(initial=0.0)
    )


def _stage(layer: DynamicFull, given: Bools, out: Bools, high: Doubles, last: bool) -> _Stage:
    """A layer on the neurons that can be on: `given` before it, `out` after it."""
    weights = np.ascontiguousarray(layer.weights[given][:, out], np.float32)
    scales, bias = _columns(layer, out)
    real = weights.astype(np.float64) * scales
    effect = real.max(axis=1) - real.min(axis=1) if last else np.abs(real).max(axis=1, initial=0.0)
    return _Stage(weights, scales, bias, _bound(high[out], bias), effect.astype(np.float32))
