"""Weights of compressed layers as pure functions: DoReFa, APoT, 8 bits, and the scales that fit a
trained layer best."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles
from relrob.domain.formats import nearest, power_levels, uniform

Numbers = NDArray[Any]
# The scales that are tried, as shares of the largest magnitude.
_TRIED: Final = np.linspace(0.02, 1.0, 99)


def dorefa_weights(weights: Numbers, bits: int) -> Doubles:
    """Zhou et al. 2016 (DoReFa), equations 8 and 9: the sign times the mean magnitude for 1 bit,
    with sign(0) = +1; else 2^bits levels over tanh, of which the largest magnitude becomes 1.

    >>> dorefa_weights(np.array([0.0, -3.0]), 1).tolist()
    [1.5, -1.5]
    """
    wide = np.asarray(weights, np.float64)
    if bits == 1:
        return np.asarray(np.where(wide < 0, -1.0, 1.0) * np.abs(wide).mean())
    turned = np.tanh(wide)
    most = np.abs(turned).max()
    return 2 * uniform(turned / (2 * most) + 0.5, bits) - 1 if most else np.zeros(wide.shape)


def apot_weights(weights: Numbers, bits: int, alpha: float) -> Doubles:
    """Li et al. 2020 (APoT), section 3: magnitudes of bits - 1 bits in [0, alpha] with a sign, of
    weights that are normalised already (`normalised`)."""
    wide = np.asarray(weights, np.float64)
    shares = np.minimum(np.abs(wide) / alpha, 1.0)
    return alpha * np.sign(wide) * nearest(shares, power_levels(bits - 1))


def normalised(weights: Numbers) -> Doubles:
    """Mean 0 and deviation 1 over the layer, with n - 1 for n as in PyTorch: Li et al. 2020,
    section 3.3."""
    wide = np.asarray(weights, np.float64)
    return np.asarray((wide - wide.mean()) / wide.std(ddof=1))


def eight_bits(weights: Numbers) -> Doubles:
    """The first and the last layer of APoT: round(w / s 127) / 127 s with s = max w, as in the
    authors' code (not max |w|)."""
    wide = np.asarray(weights, np.float64)
    most = wide.max(initial=0.0)
    return np.asarray(np.rint(wide / most * 127) / 127 * most) if most > 0 else wide


def fitted_alpha(values: Numbers, levels: Doubles) -> float:
    """The scale at which magnitudes at the nearest of `levels` have the least mean square error:
    the best of 99 shares of the largest. 1 where all values are 0."""
    found = np.abs(np.asarray(values, np.float64)).reshape(-1)
    most = float(found.max(initial=0.0))
    if not most:
        return 1.0
    errors = [
        float(
            np.square(most * t * nearest(np.minimum(found / (most * t), 1), levels) - found).sum()
        )
        for t in _TRIED
    ]
    return most * float(_TRIED[int(np.argmin(errors))])


def dorefa_scale(weights: Numbers, bits: int) -> float:
    """The factor by which the levels of `dorefa_weights` come closest to the weights themselves, by
    least squares; 1 where it is not above 0."""
    wide, made = np.asarray(weights, np.float64), dorefa_weights(weights, bits)
    square = float((made * made).sum())
    scale = float((wide * made).sum()) / square if square else 1.0
    return scale if scale > 0 else 1.0
