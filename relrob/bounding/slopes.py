"""Optimised slopes (alpha) and multipliers (beta): they make the least margin as large as possible.

An alpha is the lower slope of a neuron that may change sign; a beta is the multiplier of a sign
that a part fixes. Any alpha in [0, 1] and any beta of at least 0 give a sound bound (alpha-CROWN:
Xu et al. 2021; beta-CROWN: Wang et al. 2021). `LinearBounds.gradients` gives a subgradient of the
least margin. The bounds of hidden neurons stay as they are meanwhile: `LinearBounds.margins` with
the alphas and betas that were found computes all of them anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from relrob.bounding.linear import LinearBounds, Margins
from relrob.bounding.relaxation import Phase
from relrob.bounding.sets import At
from relrob.domain.arrays import Doubles

STEPS: Final = 20
_RATE: Final = 0.25
_SLOWER: Final = 0.95
# The share of the means of the gradients, and of their squares, that each step keeps.
_MEAN: Final = 0.9
_SQUARE: Final = 0.999


def optimised(
    bounds: LinearBounds, at: At, found: Margins, steps: int = STEPS
) -> tuple[Doubles, ...]:
    """Alphas (n,) of each hidden layer that raise the least margin of `found`, the bounds over
    `at`.

    A step costs about two passes of one image through the network. The steps are Adam's (Kingma &
    Ba 2015): every neuron moves, however little it weighs.
    """
    return tuned(bounds, at, found, None, steps)[0]


def tuned(
    bounds: LinearBounds, at: At, found: Margins, phases: Sequence[Phase] | None, steps: int = STEPS
) -> tuple[tuple[Doubles, ...], tuple[Phase, ...]]:
    """Alphas as by `optimised`, and `phases` with betas that raise the least margin on their
    part."""
    alphas = [neurons.lower_slope.copy() for neurons in found.hidden]
    best, chosen, kept = -np.inf, tuple(alphas), tuple(phases or ())
    if not alphas:
        return chosen, kept
    adam = [_Adam(alpha) for alpha in alphas], [_Adam(alpha) for alpha in alphas]
    rate = _RATE
    for _ in range(steps):
        value, by_alpha, by_beta = bounds.gradients(at, found, alphas, phases)
        if value > best:
            best, chosen, kept = value, tuple(alphas), tuple(phases or ())
        alphas = [
            np.clip(alpha + rate * a.step(g), 0.0, 1.0)
            for alpha, a, g in zip(alphas, adam[0], by_alpha, strict=True)
        ]
        if phases is not None:
            triples = zip(phases, adam[1], by_beta, strict=True)
            phases = [
                replace(phase, betas=np.maximum(phase.betas + rate * a.step(g), 0.0))
                for phase, a, g in triples
            ]
        rate *= _SLOWER
    return chosen, kept


@dataclass
class _Adam:
    """Steps of about 1 for numbers of the shape of `sample`."""

    sample: Doubles
    _mean: Doubles = field(init=False)
    _square: Doubles = field(init=False)
    _number: int = 0

    def __post_init__(self) -> None:
        self._mean, self._square = np.zeros_like(self.sample), np.zeros_like(self.sample)

    def step(self, gradient: Doubles) -> Doubles:
        """The next step up this gradient."""
        self._number += 1
        given = np.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
        self._mean = _MEAN * self._mean + (1 - _MEAN) * given
        self._square = _SQUARE * self._square + (1 - _SQUARE) * given * given
        size = np.sqrt(self._square / (1 - _SQUARE**self._number)) + np.finfo(np.float64).tiny
        return np.asarray(self._mean / (1 - _MEAN**self._number) / size)
