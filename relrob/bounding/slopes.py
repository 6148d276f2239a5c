"""Optimised slopes (alpha): the lines below neurons that may change sign, chosen so that the least
margin is as large as possible; and, where neurons are fixed in a phase, multipliers of these
conditions (beta).

Any slopes in [0, 1] and any multipliers of at least 0 give a sound bound; a subgradient of the
bound, found by running the relaxed network forward at the maximiser of its backward form, says how
to change them (alpha-CROWN: Xu et al. 2021; beta-CROWN: Wang et al. 2021). The bounds of hidden
neurons stay as they are meanwhile; `LinearBounds.margins` with what was found then computes
everything anew.
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
_MEAN, _SQUARE = (
    0.9,
    0.999,
)  # how much of the means of the gradients and of their squares each step keeps


def optimised(
    bounds: LinearBounds, at: At, found: Margins, steps: int = STEPS
) -> tuple[Doubles, ...]:
    """Slopes (n,) of each hidden layer that raise the least margin of `found`, the bounds over
    `at`; each step costs about two passes of one image through the network. Steps of Adam (Kingma &
    Ba 2015): every neuron moves, however little it weighs."""
    return tuned(bounds, at, found, None, steps)[0]


def tuned(
    bounds: LinearBounds, at: At, found: Margins, phases: Sequence[Phase] | None, steps: int = STEPS
) -> tuple[tuple[Doubles, ...], tuple[Phase, ...]]:
    """Slopes as by `optimised` and, with `phases`, these with pulls that raise the least margin on
    their part."""
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
    """Steps of about 1 for some numbers like `sample`."""

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
