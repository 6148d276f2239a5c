"""Rounding errors: of any float32 evaluation of a layer, and of our own bounds, which are float64.

"Any float32 evaluation" means every order of summation, with or without FMA, with subnormal numbers
kept or flushed to 0.

Source: Higham, Accuracy and Stability of Numerical Algorithms, Sec. 3.1:
|fl(w.x) - w.x| <= n u / (1 - n u) |w|.|x|, where u = 2^-24 in float32 and 2^-53 in float64.
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

# The number of float32 roundings from which on nothing is proved here.
TERMS: Final = 1 << 19
# More than the relative error of a few nested float64 sums of up to `TERMS` terms.
TERMS_SLACK: Final = 2.0**-32

# The number of inputs of a layer up to which float64 bounds allow for their own rounding.
WIDEST: Final = 1 << 17
# More than the loss of float64 sums of `WIDEST` terms, products nested three deep, relative to the
# magnitude of their terms.
WIDEST_SLACK: Final = 2.0**-34
# A magnitude that is counted beside every number that an unknown is multiplied with, whatever its
# size. WIDEST_SLACK times it exceeds the loss of that many products below float64's normal range.
UNDERFLOW: Final = 2.0**-960


def gamma(terms: int) -> float:
    """Higham's constant n u / (1 - n u) for `terms` float32 roundings; infinite from `TERMS` on."""
    return terms * _U32 / (1 - terms * _U32) if terms < TERMS else inf


def float32_error(inputs: Doubles, size: Doubles, bias: Doubles, terms: int) -> Doubles:
    """Error (..., m) of any float32 evaluation of inputs @ weights + bias.

    All arguments are magnitudes: `inputs` (..., n), `size` = |weights| (n, m), `bias` (m,).
    `terms`: roundings on the way to an output. A subnormal factor may count as 0. The error is
    infinite where the sum may overflow.
    """
    magnitude = inputs @ size + bias
    flushed = _FLUSH * (
        2.0 * len(size) + 2.0 + inputs.sum(axis=-1, keepdims=True) + size.sum(axis=0)
    )
    return np.where(magnitude < _HUGE, gamma(terms) * magnitude + flushed, inf)


def layer_error(layer: Layer, inputs: Doubles, size: Doubles) -> Doubles:
    """Error (..., m) of any float32 evaluation of the layer that `layer` stands for.

    `inputs` (..., n): magnitudes; `size` = |weights| (n, m).
    """
    error = float32_error(inputs, size, np.abs(layer.bias.astype(np.float64)), layer.terms)
    return error if layer.slack is None else error + layer.slack
