"""Pruning of weights by magnitude: Han et al. 2015, and equation 2 of Zhao et al. 2018."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools
from relrob.errors import UsageError

Numbers = NDArray[Any]


def kept(weights: Numbers, threshold: float) -> Bools:
    """The mask of weights that stay: |w| >= `threshold`.

    >>> kept(np.array([0.5, -1.0, 0.1]), 0.5).tolist()
    [True, True, False]
    """
    return np.asarray(np.abs(weights) >= threshold)


def thresholds(kernels: Sequence[Numbers], density: float, scope: str = "layer") -> list[float]:
    """A threshold for each kernel at which the share `density` of the weights stays, rounded to
    whole weights: of each kernel ("layer"), or of all of them with one threshold ("global").

    Weights as large as the threshold stay, so that equal ones can keep more. Raises UsageError.
    """
    check_density(density)
    if scope not in ("layer", "global"):
        raise UsageError(f"scope {scope!r}", "layer, global")
    if scope == "global":
        whole = np.concatenate([np.abs(kernel).reshape(-1) for kernel in kernels])
        return [_threshold(whole, density)] * len(kernels)
    return [_threshold(np.abs(kernel).reshape(-1), density) for kernel in kernels]


def deviations(weights: Numbers, quality: float) -> float:
    """The threshold of Han et al. 2015, section 3.1: `quality` times the deviation of the layer's
    weights."""
    return quality * float(np.std(weights))


def density_of(masks: Sequence[Bools]) -> float:
    """The share of the weights that stay, over all masks."""
    return sum(int(mask.sum()) for mask in masks) / max(1, sum(mask.size for mask in masks))


def check_density(density: float) -> None:
    """Refuse a density outside (0, 1]. Raises UsageError."""
    if not 0 < density <= 1:
        raise UsageError(f"density {density:g}", "a share above 0, up to 1", "--density 0.3")


def _threshold(magnitudes: Numbers, density: float) -> float:
    """The least magnitude that stays; infinite where none does."""
    count = round(density * magnitudes.size)
    if not count:
        return float("inf")
    return float(np.partition(magnitudes, magnitudes.size - count)[magnitudes.size - count])
