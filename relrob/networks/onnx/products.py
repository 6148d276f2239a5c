"""Matrix products of an optimised ONNX graph as steps, each with the largest magnitude of its
outputs."""

from __future__ import annotations

import numpy as np

from relrob.domain.arrays import Floats
from relrob.networks.exact_dot import ExactDot
from relrob.networks.onnx import steps
from relrob.networks.onnx.operands import Array, need
from relrob.networks.onnx.steps import Codes, DynamicDense, FloatDense, IntegerDense


def _row(values: Array, width: int) -> Floats:
    """One value a column, float32 (width,), of one or `width` of them."""
    return steps.constant(np.broadcast_to(values.reshape(-1), (width,)))


def integer_dense(
    weights: Array,
    bias: Array | None,
    source: Codes,
    shift: int,
    scales: Floats | None,
    multiplier: Floats | None,
    target: Codes | None,
    float_bias: Array | None = None,
) -> tuple[IntegerDense, float]:
    """The product of codes and integer `weights` (n_in, n_out), scaled by `multiplier`.

    The magnitude is that of real outputs, before they become codes of `target`. Raises
    NotEmulatedError.
    """
    width = weights.shape[1]
    whole = (
        np.zeros(width, np.int64)
        if bias is None
        else np.broadcast_to(bias.astype(np.int64).reshape(-1), width)
    )
    dot = ExactDot(weights, whole, source.low, source.high)
    factor = None if multiplier is None else _row(multiplier, width)
    fine = factor is None or bool(np.isfinite(factor).all() and (factor >= 0).all())
    need(fine, "scales whose product is negative or not finite")
    added = None if float_bias is None else _row(float_bias, width)
    columns = _row(np.ones(1) if scales is None else scales, width)
    layer = IntegerDense(dot, source, columns, factor, target, added, shift)
    top = dot.limit * (1.0 if factor is None else float(factor.max()))
    return layer, top + _largest(added)


def dynamic_dense(
    weights: Array, scales: Floats, bias: Array | None, largest: float
) -> tuple[DynamicDense, float]:
    """The product of inputs up to `largest`, quantised at run time, and integer `weights` (n_in,
    n_out). Raises NotEmulatedError."""
    width = weights.shape[1]
    dot = ExactDot(weights, np.zeros(width, np.int64), -255, 255)
    need(dot.limit < 2**31, "an accumulator that may overflow")
    columns = _row(scales, width)
    added = None if bias is None else _row(bias, width)
    top = 2 * largest * float((np.abs(weights).sum(axis=0) * columns).max())
    return DynamicDense(dot, columns, added), top + _largest(added)


def float_dense(matrix: Array, bias: Array | None, largest: float) -> tuple[FloatDense, float]:
    """The product of inputs up to `largest` and float32 `matrix` (n_in, n_out). Raises
    NotEmulatedError."""
    width = matrix.shape[1]
    row = np.zeros(width) if bias is None else np.broadcast_to(bias.reshape(-1), (width,))
    sums = np.abs(matrix).astype(np.float64).sum(axis=0)
    top = largest * float(sums.max()) + float(np.abs(row).max())
    need(bool(np.isfinite(top)), "weights that are not finite")
    return FloatDense(steps.constant(matrix), steps.constant(row)), top


def _largest(added: Floats | None) -> float:
    """The largest magnitude of a bias, 0 without one."""
    return 0.0 if added is None else float(np.abs(added).max())
