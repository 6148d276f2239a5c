"""The error of any float32 evaluation of a layer: every order of summation, with or without FMA,
subnormals flushed or not.

Source: Higham, Accuracy and Stability of Numerical Algorithms, Sec. 3.1: |fl(w.x) - w.x| <= n u /
(1 - n u) |w|.|x|, u = 2^-24.
"""

from __future__ import annotations

from math import inf
from typing import Final

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.domain.network import Layer

_U32: Final = 2.0**-24
# More than a product or a sum of normal size can lose when subnormal numbers become 0.
_FLUSH: Final = 2.0**-125
# Sums of magnitudes below it do not overflow in float32, in any order.
_HUGE: Final = 2.0**127
TERMS: Final = 1 << 19
# Inputs of a layer up to which bounds that are computed in float64 allow for their own rounding.
WIDEST: Final = 1 << 17


def gamma(terms: int) -> float:
    """Higham's constant n u / (1 - n u) for float32; infinite from `TERMS` on, where nothing here
    is proved."""
    return terms * _U32 / (1 - terms * _U32) if terms < TERMS else inf


def float32_error(inputs: Doubles, size: Doubles, bias: Doubles, terms: int) -> Doubles:
    """Error of any float32 evaluation of inputs @ weights + bias: `inputs` (..., n), `size` =
    |weights| (n, m), `bias` (m,), all magnitudes; `terms`: roundings on the way to an output. A
    subnormal factor may count as 0. Infinite where it may overflow."""
    magnitude = inputs @ size + bias
    flushed = _FLUSH * (
        2.0 * len(size) + 2.0 + inputs.sum(axis=-1, keepdims=True) + size.sum(axis=0)
    )
    return np.where(magnitude < _HUGE, gamma(terms) * magnitude + flushed, inf)


def layer_error(layer: Layer, inputs: Doubles, size: Doubles) -> Doubles:
    """Error of any float32 evaluation of what `layer` stands for, inputs (..., n) in magnitude;
    `size` = |weights|."""
    error = float32_error(inputs, size, np.abs(layer.bias.astype(np.float64)), layer.terms)
    return error if layer.slack is None else error + layer.slack


# More than the relative error of a few nested float64 sums of up to `rounding.TERMS` terms.
SLACK: Final = 2.0**-32
