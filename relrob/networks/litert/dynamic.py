"""LiteRT's dynamic-range FULLY_CONNECTED, bit for bit: each input row is quantised at run time, and
sums are exact integers.

`builtin` and `reference` agree. Their rows are symmetric, with scale max|a|/127 and halves away
from zero, or have a zero point where the operator asks for it. Rows of `xnnpack` ("qd8") always
have a zero point, with halves to even and a fused multiply-add at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats
from relrob.networks.litert.layers import DynamicFull
from relrob.networks.litert.product import dot

Numbers = NDArray[Any]
# Integers (n, d) in float32, and the zero point (n, 1) and the scale (n,) of each row.
Rows = tuple[Floats, Floats | None, Floats]
_ONE: Final = np.float32(1)


def dynamic_full(layer: DynamicFull, runtime: str, threads: int = 0) -> Callable[[Floats], Floats]:
    """Float inputs (n, n_in) to float outputs (n, n_out) on "xnnpack", "builtin" or "reference";
    `threads` as in `dot`."""
    if runtime == "xnnpack":
        return _fused(layer, threads)
    return _separate(layer, shifted if layer.asymmetric else symmetric, threads)


def symmetric(values: Floats) -> Rows:
    """Rows in -127..127: scale max|a|/127, an all-zero row has scale 1. (n, d) -> integers,
    scales."""
    low, high = values.min(axis=1), values.max(axis=1)
    reach = np.maximum(high, -low)
    zero = reach == 0
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        scaled = values * (np.float32(127) / np.where(zero, _ONE, reach))[:, None]
    rounded = _away(scaled, bool((low >= 0).all()))
    # The quotient 127/reach may overflow for these rows.
    wild = ~(reach >= 2.0**-120) & ~zero
    if wild.any():
        rounded[wild] = np.clip(_as_int32(rounded[wild]), -127, 127)
    return rounded, None, np.where(zero, _ONE, reach / np.float32(127)).astype(np.float32)


def shifted(values: Floats) -> Rows:
    """Rows in -128..127 with a zero point, as LiteRT's own kernels choose it. (n, d) -> integers,
    zero points, scales."""
    low, high = np.minimum(values.min(axis=1), 0), np.maximum(values.max(axis=1), 0)
    flat = low == high
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        scale = np.where(flat, 1.0, (high - low).astype(np.float64) / 255)
        zero = np.where(flat, 0, _zero_point(low / scale, high / scale)).astype(np.float32)[:, None]
        scales = scale.astype(np.float32)
        scaled = values * (_ONE / scales)[:, None]
    rounded = _away(scaled, False)
    wild = ~(scales >= 2.0**-100) & ~flat
    if wild.any():
        rounded[wild] = _as_int32(rounded[wild])
    rounded += zero
    return np.clip(rounded, -128, 127, out=rounded), zero, scales


def _zero_point(low: Doubles, high: Doubles) -> Doubles:
    """The zero points, float64, from the ends of the rows in units of their scales."""
    near = np.where(128 + np.abs(low) < 127 + np.abs(high), -128 - low, 127 - high)
    return np.asarray(np.clip(np.trunc(near + np.copysign(np.nextafter(0.5, 0), near)), -128, 127))


def qd8(values: Floats) -> Rows:
    """Rows in -128..127 with a zero point, as XNNPACK chooses it. (n, d) -> integers, zero points,
    scales."""
    low, high = (
        np.minimum(values.min(axis=1), np.float32(0)),
        np.maximum(values.max(axis=1), np.float32(0)),
    )
    flat = low == high
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        inverse = np.where(flat, _ONE, np.float32(255) / np.where(flat, _ONE, high - low)).astype(
            np.float32
        )
        down, up = low * inverse, high * inverse
        from_low = (np.float32(-128) + down) + (np.float32(127) + up) > 0
        zero = np.rint(
            np.clip(np.where(from_low, np.float32(-128) - down, np.float32(127) - up), -128, 127)
        )[:, None]
        scaled = values * inverse[:, None]
        np.rint(scaled, out=scaled)
        scaled += zero
        np.clip(scaled, -128, 127, out=scaled)
    # The scale of these rows is 0.
    lost = np.isinf(inverse)
    scaled[lost], zero[lost] = 0, 0
    return scaled, zero, _ONE / inverse


def _away(values: Numbers, positive: bool) -> Floats:
    """Round float32 (n, d) halves away from zero, in place; in LiteRT's blocks of eight columns
    0.49999997 becomes 1 too."""
    columns = values.shape[1]
    half = np.full(columns, 0.5, np.float32)
    half[columns // 8 * 8 :] = np.nextafter(np.float32(0.5), np.float32(0))
    values += half if positive else np.copysign(half, values)
    rounded: Floats = np.trunc(values, out=values)
    return rounded


def _as_int32(values: Floats) -> Floats:
    """The values as x86 converts floats to int32: a value that does not fit becomes the least
    integer."""
    return np.where(np.abs(values) < 2.0**31, values, np.float32(-(2.0**31))).astype(np.float32)


def _separate(
    layer: DynamicFull, quantise: Callable[[Floats], Rows], threads: int
) -> Callable[[Floats], Floats]:
    """bias + float(sum) * (row scale * weight scale), each operation rounded on its own."""
    product = dot(layer.weights, 127 if quantise is symmetric else 255, threads)
    one = len(layer.scales) == 1

    def run(values: Floats) -> Floats:
        rows, zero, scales = quantise(values)
        outputs = product(rows, zero)
        with np.errstate(over="ignore", invalid="ignore"):
            outputs *= (
                scales[:, None] * layer.scales if one else np.multiply.outer(scales, layer.scales)
            )
            outputs += layer.bias
        return np.maximum(outputs, np.float32(0), out=outputs) if layer.relu else outputs

    return run


def _fused(layer: DynamicFull, threads: int) -> Callable[[Floats], Floats]:
    """fma(float(sum) * row scale, weight scale, bias)."""
    product = dot(layer.weights, 255, threads)

    def run(values: Floats) -> Floats:
        rows, zero, scales = qd8(values)
        outputs = product(rows, zero)
        with np.errstate(over="ignore", invalid="ignore"):
            outputs *= scales[:, None]
            outputs = fused_multiply_add(outputs, layer.scales, layer.bias)
        return np.maximum(outputs, np.float32(0), out=outputs) if layer.relu else outputs

    return run


def fused_multiply_add(a: Floats, b: Floats, c: Floats) -> Floats:
    """float32(a*b + c) with one rounding; shapes broadcast. Results below the normal range may be
    off by their last bit.

    >>> one, tiny = np.float32([1]), np.float32([2.0**-12])
    >>> float(fused_multiply_add(one + tiny, one + tiny, -one)[0]) == 2.0**-11 + 2.0**-24
    True
    """
    # The product is exact.
    product = a.astype(np.float64) * b.astype(np.float64)
    total = product + c
    halves: NDArray[np.bool_] = (total.view(np.int64) & 0x1FFFFFFF) == 0x10000000
    # The rounding of float64 may have made a tie of float32.
    if halves.any():
        left, right, near = (
            product[halves],
            np.broadcast_to(c, total.shape)[halves].astype(np.float64),
            total[halves],
        )
        part = near - left
        error = (left - (near - part)) + (right - part)
        total[halves] = np.where(
            error == 0, near, np.nextafter(near, np.where(error > 0, np.inf, -np.inf))
        )
    return total.astype(np.float32)
