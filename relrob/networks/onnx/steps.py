"""What onnxruntime's CPU kernels do to a batch, operator by operator, to the bit. NumPy only.

Integer codes travel as float32 arrays of `code - zero point`: every kernel here subtracts the zero
point first.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, floor, log
from typing import Final

import numpy as np

from relrob.domain.arrays import Floats, Ints, read_only
from relrob.networks.exact_dot import ExactDot, Numbers

FLOAT_MAX: Final = float(np.finfo(np.float32).max)
_INT32: Final = 2**31


@dataclass(frozen=True)
class Codes:
    """An 8-bit code: value = scale (code - zero_point), `least` <= code <= `most`."""

    scale: np.float32
    zero_point: int
    least: int
    most: int

    @property
    def low(self) -> int:
        """The least centred code."""
        return self.least - self.zero_point

    @property
    def high(self) -> int:
        """The greatest centred code."""
        return self.most - self.zero_point

    def saturate(self, values: Floats) -> Floats:
        """Clamp, then round half to even, in place; NaN does not occur."""
        np.maximum(values, np.float32(self.low), out=values)
        np.minimum(values, np.float32(self.high), out=values)
        return np.asarray(np.rint(values, out=values), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Quantise:
    """QuantizeLinear: float32 division, clamp, round half to even."""

    codes: Codes

    def apply(self, values: Floats) -> Floats:
        """Real values to centred codes."""
        with np.errstate(over="ignore"):
            return self.codes.saturate(values / self.codes.scale)


@dataclass(frozen=True, eq=False)
class Dequantise:
    """DequantizeLinear: one float32 product. `shift`: producer's zero point minus the operator's
    own."""

    scale: np.float32
    shift: int = 0

    def apply(self, values: Floats) -> Floats:
        """Centred codes to real values; adding the shift also turns -0 into 0."""
        with np.errstate(over="ignore"):
            return (values + np.float32(self.shift)) * self.scale


@dataclass(frozen=True, eq=False)
class IntegerDense:
    """QGemm, QLinearMatMul, MatMulIntegerToFloat, MatMulInteger: an exact int32 accumulator, then
    one float32 product.

    `dot.weights` (n_in, n_out): integers less their zero points; `dot.bias` (n_out,) int32;
    `source`: codes that it reads; `weight_scales` (n_out,) float32; `multiplier` (n_out,) float32:
    what the accumulator is multiplied by (None: nothing); `target`: codes that it writes, None for
    float32; `float_bias` (n_out,): added to a float32 output. A ReLU is in the clamp: `target.low`
    is 0. The accumulator wraps at 32 bits, as the processor's does.
    """

    dot: ExactDot
    source: Codes
    weight_scales: Floats
    multiplier: Floats | None
    target: Codes | None
    float_bias: Floats | None = None
    shift: int = 0

    @property
    def relu(self) -> bool:
        """Does the clamp end in a ReLU?"""
        return self.target is not None and self.target.low == 0

    @property
    def wraps(self) -> bool:
        """Can the 32-bit accumulator overflow?"""
        return bool(self.dot.lowest.min() < -_INT32 or self.dot.highest.max() >= _INT32)

    def apply(self, values: Floats) -> Floats:
        """(n, n_in) centred codes -> (n, n_out) centred codes or real values."""
        return self.finish(self.dot(values + np.float32(self.shift) if self.shift else values))

    def finish(self, sums: Numbers) -> Floats:
        """From exact sums to outputs; nondecreasing in each sum when none wraps."""
        if self.wraps:
            sums = (sums.astype(np.int64) + _INT32) % 2**32 - _INT32
        result: Floats = sums.astype(np.float32, copy=False)
        with np.errstate(over="ignore"):
            if self.multiplier is not None:
                result *= self.multiplier
            if self.float_bias is not None:
                result += self.float_bias
        return result if self.target is None else self.target.saturate(result)


@dataclass(frozen=True, eq=False)
class DynamicDense:
    """DynamicQuantizeMatMul: each image is quantised to uint8 by its own range, then an integer
    product, scales and a bias.

    onnxruntime takes the range of the whole batch; this is what it does to an image alone, as it is
    deployed. `weights` (n_in, n_out): integers less their zero points; `weight_scales`, `bias`
    (n_out,) float32.
    """

    dot: ExactDot
    weight_scales: Floats
    bias: Floats | None

    def apply(self, values: Floats) -> Floats:
        """(n, n_in) -> (n, n_out) real values."""
        least = np.minimum(values.min(axis=1), np.float32(0))
        most = np.maximum(values.max(axis=1), np.float32(0))
        scale = np.where(most == least, np.float32(1), (most - least) / np.float32(255)).astype(
            np.float32
        )
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            zero = np.rint(np.clip(np.float32(0) - least / scale, np.float32(0), np.float32(255)))[
                :, None
            ]
            codes = np.rint(np.clip(values / scale[:, None], -zero, np.float32(255) - zero))
        result: Floats = self.dot(codes).astype(np.float32, copy=False)
        result *= scale[:, None] * self.weight_scales
        return result if self.bias is None else result + self.bias


@dataclass(frozen=True, eq=False)
class Lookup:
    """QLinearAdd of a constant: `table` (256, n) centred codes, one row for each code from `least`
    on."""

    table: Floats
    offset: int

    def apply(self, values: Floats) -> Floats:
        """Row `value + offset` of the table, column by column."""
        rows = values.astype(np.int64) + self.offset
        return np.asarray(np.take_along_axis(self.table, rows, axis=0), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class IntegerSoftmax:
    """QLinearSoftmax: a table of exponentials, summed in float32 in order."""

    source: Codes
    target: Codes
    size: int

    def apply(self, values: Floats) -> Floats:
        """(n, size) centred codes -> centred codes."""
        room = max(0.0, log(np.float32(FLOAT_MAX) / np.float32(self.size)) - 5) / float(
            self.source.scale
        )
        table = np.array(
            [exp((i - 255 + room) * float(self.source.scale)) for i in range(256)]
        ).astype(np.float32)
        powers = table[(values - values.max(axis=1, keepdims=True)).astype(np.int64) + 255]
        total = powers[:, 0].copy()
        for column in range(1, self.size):
            total += powers[:, column]
        factor = np.float32(floor(np.float32(1) / self.target.scale))
        codes = np.rint(powers * factor / total[:, None]).astype(np.int64) + self.target.zero_point
        return np.asarray(
            np.minimum(codes, self.target.most) - self.target.zero_point, dtype=np.float32
        )


@dataclass(frozen=True, eq=False)
class FloatDense:
    """A float32 Gemm that onnxruntime left unfused: its order of summation is its own. `weights`
    (n_in, n_out), `bias` (n_out,)."""

    weights: Floats
    bias: Floats

    def apply(self, values: Floats) -> Floats:
        """One float32 evaluation among the possible ones."""
        return np.asarray(values @ self.weights + self.bias, dtype=np.float32)

    def enclose(self, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Bounds of every float32 evaluation, any order, with or without FMA (Higham, Accuracy and
        Stability, Sec. 3.1)."""
        terms = self.weights.shape[0] + 2
        u = 2.0**-24
        gamma = terms * u / (1 - terms * u) + 4 * terms * 2.0**-53
        weights, bias = self.weights.astype(np.float64), self.bias.astype(np.float64)
        size = np.maximum(np.abs(low), np.abs(high)).astype(np.float64) @ np.abs(weights) + np.abs(
            bias
        )
        slack = gamma * size * (1 + 2.0**-20) + terms * 2.0**-148
        down, up = _real_ends(low, high, weights)
        return _outward(down + bias - slack, -np.inf), _outward(up + bias + slack, np.inf)


@dataclass(frozen=True, eq=False)
class Elementwise:
    """A float32 operator with a constant (n,): "Add", "Sub", "Mul", "Div", "Max", "Min"; `flipped`:
    constant first."""

    kind: str
    constant: Floats
    flipped: bool = False

    def apply(self, values: Floats) -> Floats:
        """One rounding a value."""
        left, right = (self.constant, values) if self.flipped else (values, self.constant)
        ufunc = {
            "Add": np.add,
            "Sub": np.subtract,
            "Mul": np.multiply,
            "Div": np.divide,
            "Max": np.maximum,
            "Min": np.minimum,
        }
        return np.asarray(ufunc[self.kind](left, right), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Permute:
    """Values in another order."""

    order: Ints

    def apply(self, values: Floats) -> Floats:
        """Columns by `order`."""
        return np.ascontiguousarray(values[:, self.order])


Step = (
    Quantise
    | Dequantise
    | IntegerDense
    | DynamicDense
    | Lookup
    | IntegerSoftmax
    | FloatDense
    | Elementwise
    | Permute
)
NOT_MONOTONE: Final = (DynamicDense, IntegerSoftmax)


def enclose(step: Step, low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Bounds of the step's output, for inputs between `low` and `high`; equal bounds stay equal but
    after a FloatDense.

    Every step but those of NOT_MONOTONE and a wrapping IntegerDense is covered; the planner refuses
    them after a FloatDense.
    """
    if low is high and not isinstance(step, FloatDense):
        same = step.apply(low)
        return same, same
    match step:
        case FloatDense():
            return step.enclose(low, high)
        case IntegerDense():
            shift, weights = np.float32(step.shift), step.dot.weights.astype(np.float64)
            down, up = _real_ends(low + shift, high + shift, weights)
            return step.finish(down + step.dot.bias), step.finish(up + step.dot.bias)
        case Elementwise():
            one, other = step.apply(low), step.apply(high)
            return np.minimum(one, other), np.maximum(one, other)
        case _:
            return step.apply(low), step.apply(high)


def _real_ends(low: Floats, high: Floats, weights: Numbers) -> tuple[Numbers, Numbers]:
    """The least and the greatest of x W for low <= x <= high, in float64."""
    positive, negative = np.maximum(weights, 0), np.minimum(weights, 0)
    below, above = low.astype(np.float64), high.astype(np.float64)
    return below @ positive + above @ negative, above @ positive + below @ negative


def _outward(values: Numbers, end: float) -> Floats:
    """float32, rounded away from the interval."""
    return np.asarray(np.nextafter(values.astype(np.float32), np.float32(end)), dtype=np.float32)


def constant(values: Numbers) -> Floats:
    """A read-only float32 vector."""
    return np.asarray(read_only(np.asarray(values, dtype=np.float32)), dtype=np.float32)
