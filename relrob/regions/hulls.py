"""The support function of the knapsack hull: the maximum of a linear function over the set."""

from __future__ import annotations

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
