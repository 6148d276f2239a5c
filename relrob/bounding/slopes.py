"""Optimised slopes (alpha): the lines below neurons that may change sign, chosen so that the least margin is as large as possible.

Any slopes in [0, 1] give a sound bound; a subgradient of the bound, found by running the relaxed network forward at the maximiser
of its backward form, says how to change them (alpha-CROWN: Xu et al. 2021). The bounds of hidden neurons stay as they are
meanwhile; `LinearBounds.margins` with the slopes found then computes everything anew.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from relrob.bounding.linear import At, LinearBounds, Margins
from relrob.domain.arrays import Doubles

STEPS: Final = 20
_RATE: Final = 0.25
_SLOWER: Final = 0.95
_MEAN, _SQUARE = 0.9, 0.999  # how much of the means of the gradients and of their squares each step keeps


def optimised(bounds: LinearBounds, at: At, found: Margins, steps: int = STEPS) -> tuple[Doubles, ...]:
    """Slopes (n,) of each hidden layer that raise the least margin of `found`, the bounds over `at`; each step costs about two
    passes of one image through the network. Steps of Adam (Kingma & Ba 2015): every neuron moves, however little it weighs."""
    falls = [neurons.fall.copy() for neurons in found.hidden]
    if not falls:
        return ()
    best, chosen = -np.inf, tuple(falls)
    mean, square = [np.zeros_like(fall) for fall in falls], [np.zeros_like(fall) for fall in falls]
    rate = _RATE
    for step in range(1, steps + 1):
        value, gradients = bounds.slope_gradients(at, found, falls)
        if value > best:
            best, chosen = value, tuple(falls)
        following = []
        for number, gradient in enumerate(gradients):
            given = np.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
            mean[number] = _MEAN * mean[number] + (1 - _MEAN) * given
            square[number] = _SQUARE * square[number] + (1 - _SQUARE) * given * given
            size = np.sqrt(square[number] / (1 - _SQUARE**step)) + np.finfo(np.float64).tiny
            following.append(np.clip(falls[number] + rate * mean[number] / (1 - _MEAN**step) / size, 0.0, 1.0))
        falls, rate = following, rate * _SLOWER
    return chosen
