"""Dynamic network surgery: Guo et al. 2016, and equation 3 of Zhao et al. 2018. Pruned weights come
back when they grow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools

Numbers = NDArray[Any]
# A weight is pruned below 0.9 of the threshold and comes back above 1.1 of it.
_LOWER: Final = 0.9
_UPPER: Final = 1.1


@dataclass(frozen=True)
class Surgery:
    """The share of steps at which masks change: (1 + `gamma` k)^-`power` at step k, none from
    `last` on (Guo et al. 2016, section 3.3, and its code)."""

    gamma: float = 1e-3
    power: float = 1.0
    last: int = 10_000

    def probability(self, step: int) -> float:
        """The probability that masks change at a step, 0 being the first.

        >>> Surgery().probability(0), Surgery().probability(1000), Surgery().probability(10_000)
        (1.0, 0.5, 0.0)
        """
        return float((1 + self.gamma * step) ** -self.power) if step < self.last else 0.0


def updated(mask: Bools, weights: Numbers, threshold: float) -> Bools:
    """The next mask: off where |w| < 0.9 t, on where |w| > 1.1 t, unchanged between.

    >>> updated(np.array([True, True, False, False]), np.array([0.8, 1.0, 1.0, 1.2]), 1.0).tolist()
    [False, True, False, True]
    """
    size = np.abs(weights)
    return np.asarray((mask | (size > _UPPER * threshold)) & (size >= _LOWER * threshold))


def first_threshold(weights: Numbers, bias: Numbers, rate: float) -> float:
    """max(mean + `rate` deviation, 0) over the magnitudes of weights and biases that are not 0,
    once before the first step: the authors' own code."""
    size = np.abs(np.concatenate([weights.reshape(-1), bias.reshape(-1)]).astype(np.float64))
    live = size[size > 0]
    return max(float(live.mean() + rate * live.std()), 0.0) if live.size else 0.0


def running_threshold(weights: Numbers, alpha: float) -> float:
    """mean + `alpha` deviation over the magnitudes of all weights of the kernel, at each change:
    the tool of Zhao et al. 2018 (Mayo). `alpha` may be negative."""
    size = np.abs(np.asarray(weights, np.float64))
    return float(size.mean() + alpha * size.std())


def rate_of(weights: Numbers, density: float) -> float:
    """The `alpha` of `running_threshold` at which the first mask keeps the share `density`."""
    size = np.abs(np.asarray(weights, np.float64)).reshape(-1)
    count = max(1, round(density * size.size))
    wanted = float(np.partition(size, size.size - count)[size.size - count]) / _LOWER
    spread = float(size.std())
    return (wanted - float(size.mean())) / spread if spread else 0.0
