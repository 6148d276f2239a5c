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
_RATE: Final = 0.2
_DECAY: Final = 0.9


def optimised(bounds: LinearBounds, at: At, found: Margins, steps: int = STEPS) -> tuple[Doubles, ...]:
    """Slopes (n,) of each hidden layer that raise the least margin of `found`, the bounds over `at`; each step costs about two
    passes of one image through the network."""
    falls = [neurons.fall.copy() for neurons in found.hidden]
    if not falls:
        return ()
    best, chosen = -np.inf, tuple(falls)
    moved = [np.zeros_like(fall) for fall in falls]
    rate = _RATE
    for _ in range(steps):
        value, gradients = bounds.slope_gradients(at, found, falls)
        if value > best:
            best, chosen = value, tuple(falls)
        for number, gradient in enumerate(gradients):
            size = float(np.abs(gradient).max(initial=0.0))
            if size > 0 and np.isfinite(size):
                moved[number] = _DECAY * moved[number] + (1 - _DECAY) * gradient / size
        falls = [np.clip(fall + rate * move, 0.0, 1.0) for fall, move in zip(falls, moved, strict=True)]
        rate *= _DECAY
    return chosen
