"""Rank correlations and their permutation tests, where the few units are networks.

Networks are what is exchanged, so the p-value is that of the exchange: the share of permutations of
the networks whose correlation is at least as far from 0 (Mantel 1967 for matrices).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import factorial
from typing import Any, Final

import numpy as np
from scipy.stats import rankdata

from relrob.domain.arrays import Doubles, Ints
from relrob.report.study.judgement import Judgement

# All permutations are tried up to so many, else as many at random.
_MOST: Final = 9_999
_SEED: Final = 1967
_LEVEL: Final = 0.05
# Two sums of the same numbers in another order.
_EQUAL: Final = 1e-9


@dataclass(frozen=True)
class Correlation:
    """A rank correlation of `count` networks with its two-sided p-value."""

    value: float
    p: float
    count: int

    def judged(self, sign: int) -> Judgement:
        """The claim that it has this sign, at the level of 5 %."""
        if self.p >= _LEVEL:
            return Judgement.OPEN
        return Judgement.REPRODUCED if self.value * sign > 0 else Judgement.NOT

    @property
    def text(self) -> str:
        """The numbers of a table's cell."""
        return f"rank correlation {self.value:+.2f}, p = {self.p:.3f}, {self.count} networks"


def spearman(first: Sequence[float], second: Sequence[float]) -> Correlation:
    """Spearman's rank correlation of two figures of each network, 0 where one is constant."""
    one, other = _standard(rankdata(first)), _standard(rankdata(second))
    return _tested(lambda order: float(one[order] @ other), len(first))


def mantel(first: Doubles, second: Doubles) -> Correlation:
    """Spearman's rank correlation of the cells off the diagonal of two matrices (k, k) of the same
    networks; lines and columns of the first are permuted together (Mantel's test). Cells that are
    NaN in the second are left out, and stay where they are."""
    count = len(first)
    there = ~np.eye(count, dtype=bool) & ~np.isnan(second)
    other = _standard(rankdata(second[there]))
    ranks = np.zeros((count, count))
    off = ~np.eye(count, dtype=bool)
    ranks[off] = rankdata(first[off])
    return _tested(
        lambda order: float(_standard(ranks[np.ix_(order, order)][there]) @ other), count
    )


def _standard(values: Doubles) -> Doubles:
    """The values less their mean, of length 1; all 0 where they are constant."""
    moved = values - values.mean()
    length = float(np.linalg.norm(moved))
    return np.asarray(moved / length if length > _EQUAL else np.zeros_like(moved))


def _tested(correlation: Callable[[Ints], float], count: int) -> Correlation:
    """The correlation in the given order, and the share of orders with one as far from 0."""
    identity = np.arange(count)
    value = correlation(identity)
    if factorial(count) <= _MOST:
        orders: Any = [np.array(order) for order in permutations(range(count))]
        extra = 0
    else:
        rng = np.random.default_rng(_SEED)
        orders, extra = [rng.permutation(count) for _ in range(_MOST)], 1
    far = sum(abs(correlation(order)) >= abs(value) - _EQUAL for order in orders)
    return Correlation(value, (far + extra) / (len(orders) + extra), count)
