"""LiteRT's full-integer FULLY_CONNECTED, bit for bit. Integers travel as float32 between layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from relrob.domain.arrays import Floats
from relrob.networks.exact_dot import SINGLE, ExactDot
from relrob.networks.litert.layers import Int8Full
from relrob.networks.litert.limits import check_limits
from relrob.networks.litert.product import SelfQuantised
from relrob.networks.litert.requantise import (
    away_from_zero,
    double_rounding,
    multipliers,
    output_scales,
)


def int8_full(layer: Int8Full, runtime: str, threads: int = 0) -> Callable[[Floats], Floats]:
    """int8 inputs (n, n_in) to int8 outputs (n, n_out) on "xnnpack", "builtin" or "reference"; both
    as float32 integers.

    `threads`: of XNNPACK's integer product, 0 for NumPy's.

    Raises NotModelledError where a sum could leave 32 bits, or where the kernel's own range of
    scales ends.
    """
    weights = layer.weights.astype(np.int64)
    dot = ExactDot(weights, layer.bias - layer.given.zero * weights.sum(axis=0), -128, 127)
    check_limits(layer, runtime)
    sums = _on_litert(layer, dot, threads) if threads and dot.limit < SINGLE // 2 else dot
    floor = np.float32(max(-128, layer.out.zero) if layer.relu else -128)
    rules = {"xnnpack": _float_rule, "builtin": _fixed_rule, "reference": _double_rule}
    rule = rules[runtime](layer)

    def run(values: Floats) -> Floats:
        outputs = rule(sums(values))
        return np.clip(outputs, floor, np.float32(127), out=outputs)

    return run


def _on_litert(layer: Int8Full, dot: ExactDot, threads: int) -> Callable[[Floats], Floats]:
    """The same sums on LiteRT. The product and the offset are below 2^24, and hence exact in
    float32."""
    product, offset = SelfQuantised(layer.weights, threads), dot.bias.astype(np.float32)

    def run(values: Floats) -> Floats:
        found = product(values)
        found += offset
        return found

    return run


def _float_rule(layer: Int8Full) -> Callable[[Floats], Floats]:
    """float32(sum) * scale, halves to even, plus the zero point."""
    scales, zero = output_scales(layer, "xnnpack").astype(np.float32), np.float32(layer.out.zero)

    def rule(sums: Floats) -> Floats:
        outputs = sums.astype(np.float32, copy=False)
        outputs *= scales
        np.rint(outputs, out=outputs)
        outputs += zero
        return outputs

    return rule


def _fixed_rule(layer: Int8Full) -> Callable[[Floats], Floats]:
    """31-bit fixed point with two roundings, plus the zero point."""
    scale = multipliers(np.asarray(output_scales(layer, "builtin"), np.float64))

    def rule(sums: Floats) -> Floats:
        levels = double_rounding(sums.astype(np.int64), scale)
        levels += layer.out.zero
        return levels.astype(np.float32)

    return rule


def _double_rule(layer: Int8Full) -> Callable[[Floats], Floats]:
    """float64 sum * scale, halves away from zero, plus the zero point."""
    scales = np.asarray(output_scales(layer, "reference"), np.float64)

    def rule(sums: Floats) -> Floats:
        levels = away_from_zero(sums.astype(np.float64) * scales)
        levels += layer.out.zero
        return levels.astype(np.float32)

    return rule
