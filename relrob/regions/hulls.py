"""The hull of the moves of a ladder: a knapsack, its support function and its maximisers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from relrob.domain.arrays import Doubles
from relrob.domain.rounding import TERMS_SLACK


def knapsack_support(gains: Doubles, costs: Doubles, budget: float) -> Doubles:
    """max { z @ gains : z in [0,1]^F, costs.z <= budget }, column by column: (F, n) -> (n,).

    A fractional knapsack: features go by gain per cost while the budget lasts (Dantzig 1957).
    """
    gains = np.maximum(gains, 0.0)
    order = np.argsort(-gains / costs[:, None], axis=0, kind="stable")
    spent = costs[order]
    before = np.cumsum(spent, axis=0) - spent
    share = np.clip((budget * (1 + TERMS_SLACK) - before) / spent, 0.0, 1.0)
    return np.asarray((np.take_along_axis(gains, order, axis=0) * share).sum(axis=0))


@final
@dataclass(frozen=True, eq=False)
class KnapsackHull:
    """{ z in [0,1]^f : costs.z <= room }: the moves of the free features of a part of a ladder.

    `costs` (f,) > 0 and `room`, the rest of the radius, float64.
    """

    costs: Doubles
    room: float

    def support(self, gains: Doubles) -> Doubles:
        """A fractional knapsack a column: (f, n) -> (n,)."""
        return knapsack_support(gains, self.costs, self.room)

    def maximiser(self, gains: Doubles) -> Doubles:
        """The knapsack's own z (f,)."""
        order = np.argsort(-np.maximum(gains, 0.0) / self.costs, kind="stable")
        spent = self.costs[order]
        moves = np.zeros_like(gains)
        moves[order] = np.clip((self.room - (np.cumsum(spent) - spent)) / spent, 0.0, 1.0)
        return np.where(gains > 0, moves, 0.0)
