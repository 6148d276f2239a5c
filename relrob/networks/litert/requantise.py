"""Requantisation of int32 sums to int8 outputs by the three rules of LiteRT's FULLY_CONNECTED
kernels, bit for bit, and QUANTIZE."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.networks.litert.layers import Grid, Int8Full

_INT32 = 2**31


@dataclass(frozen=True, eq=False)
class Multipliers:
    """scale = `factor` * 2^(`exponent` - 31), one or n_out of them: factor in [2^30, 2^31), or
    0."""

    factor: Ints
    exponent: Ints


def multipliers(scales: Doubles) -> Multipliers:
    """31-bit fixed-point forms of float64 scales, halves away from zero.

    >>> found = multipliers(np.array([0.75]))
    >>> int(found.factor[0]) == 3 * 2**29, int(found.exponent[0])
    (True, 0)
    """
    pairs = [_multiplier(float(scale)) for scale in scales]
    return Multipliers(
        np.array([p[0] for p in pairs], np.int64), np.array([p[1] for p in pairs], np.int64)
    )


def _multiplier(scale: float) -> tuple[int, int]:
    """(factor, exponent)."""
    fraction, exponent = math.frexp(scale)
    factor = math.floor(fraction * _INT32 + 0.5)
    if factor == _INT32:
        factor, exponent = factor // 2, exponent + 1
    return (factor, exponent) if exponent >= -31 else (0, 0)


def double_rounding(sums: Ints, scale: Multipliers) -> Ints:
    """`builtin`: (x*m + 2^30) >> 31, then a rounding right shift; halves up in both. int64 (n,
    n_out)."""
    left, right = np.maximum(scale.exponent, 0), np.maximum(-scale.exponent, 0)
    product = sums << left
    product *= scale.factor
    product += 1 << 30
    product >>= 31
    product += (np.int64(1) << right) >> 1
    product >>= right
    return product


def away_from_zero(values: Doubles) -> Doubles:
    """Round halves away from zero; the values are below 2^51 in magnitude. `reference`: of sum *
    scale in float64.

    >>> away_from_zero(np.array([-127.5, -0.25, 126.5, 0.49999999999999994])).tolist()
    [-128.0, -0.0, 127.0, 0.0]
    """
    return np.asarray(np.trunc(values + np.copysign(np.nextafter(0.5, 0.0), values)))


def output_scales(layer: Int8Full, runtime: str) -> NDArray[np.floating]:
    """scale_in * scale_weights / scale_out as each kernel rounds it: float32 for `xnnpack`, float64
    for the others."""
    given, out = layer.given.scale32, layer.out.scale32
    if runtime == "xnnpack":
        return np.asarray((given * layer.scales) / out, np.float32)
    if runtime == "builtin" and len(layer.scales) == 1:
        return np.asarray((given * layer.scales).astype(np.float64) / np.float64(out))
    return np.asarray(np.float64(given) * layer.scales.astype(np.float64) / np.float64(out))


def quantise(values: Floats, out: Grid, runtime: str) -> Floats:
    """QUANTIZE to int8, as integers in float32: x * (1/scale), halves to even; `reference`: x /
    scale, halves away."""
    if runtime == "reference":
        rounded = away_from_zero((values / out.scale32).astype(np.float64))
    else:
        rounded = np.rint(values * (np.float32(1) / out.scale32)).astype(np.float64)
    result: Floats = np.clip(rounded + out.zero, -128, 127).astype(np.float32)
    return result
