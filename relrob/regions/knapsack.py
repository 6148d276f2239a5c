"""Subsets of items whose total cost stays within a budget: counted exactly, and listed in a fixed
order from any rank.

The subsets form a decision diagram (dynamic programming). A state is the rest of the budget. States
that admit the same subsets are merged. Each state holds the number of subsets that it leads to.
Costs and budget are integers of any size, so the comparison with the budget is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools
from relrob.errors import RegionError

MAX_STATES: Final = 2_000_000
_MAX_SUMS: Final = 1 << 13
_INT64_SAFE: Final = 1 << 61
_MOST_KEPT: Final = 64  # items of a knapsack that is kept


@dataclass(frozen=True, eq=False)
class _Layer:
    """Children of each state, as indices into the next layer: with the item left out, and with the
    item taken (-1: too dear)."""

    left: NDArray[np.int64]
    taken: NDArray[np.int64]


def _integers(values: Sequence[int], largest: int) -> NDArray[Any]:
    """The values as int64 where every sum fits, else as Python integers."""
    return np.array(values, dtype=np.int64 if largest < _INT64_SAFE else object)


def _suffix_sums(costs: Sequence[int], budget: int, largest: int) -> list[NDArray[Any] | None]:
    """For each layer the sorted sums <= budget of its remaining items; None where they are too
    many."""
    sums: list[NDArray[Any] | None] = [_integers([0], largest)]
    for cost in reversed(costs):
        below = sums[-1]
        if below is None or len(below) > _MAX_SUMS:
            sums.append(None)
            continue
        both = np.unique(np.concatenate([below, below + cost]))
        sums.append(both[both <= budget])
    return sums[::-1]


@final
class Knapsack:
    """The subsets S of items with sum of `costs` over S <= `budget`, ordered as binary numbers,
    item 0 the leading bit.

    `costs` > 0 and `budget` >= 0, integers. The empty set has rank 0. Memory grows with the number
    of states, never with the number of subsets. Raises RegionError above `MAX_STATES` states (many
    items whose costs have no common measure).

    >>> Knapsack([2, 1, 1], 2).count
    5
    >>> Knapsack([2, 1, 1], 2).masks(0, 5).astype(int).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1], [1, 0, 0]]
    """

    def __init__(self, costs: Sequence[int], budget: int) -> None:
        if budget < 0 or any(cost <= 0 for cost in costs):
            raise RegionError(
                "a budget below 0 or a cost of 0", "costs above 0 and a budget of at least 0"
            )
        self.items = len(costs)
        largest = budget + sum(costs)
        sums = _suffix_sums(costs, budget, largest)
        tails = [sum(costs[item:]) for item in range(self.items + 1)]
        states = _integers([min(budget, tails[0])], largest)
        self._layers: list[_Layer] = []
        total = 1
        for item, cost in enumerate(costs):
            rest = states - cost
            fits = rest >= 0
            reached = _canonical(
                np.concatenate([states, rest[fits]]), tails[item + 1], sums[item + 1]
            )
            merged, where = np.unique(reached, return_inverse=True)
            taken = np.full(len(states), -1, dtype=np.int64)
            taken[np.asarray(fits, dtype=bool)] = where[len(states) :]
            self._layers.append(_Layer(where[: len(states)].astype(np.int64), taken))
            states = merged
            total += len(states)
            if total > MAX_STATES:
                raise RegionError(
                    f"the points of a ladder of {self.items} features whose costs share no measure"
                    " cannot be counted exactly",
                    f"ladders of up to {MAX_STATES:,} counting states",
                    "fewer --features, or 8-bit images with --grid 8bit",
                )
        self._counts = self._count(len(states))
        self.count: int = int(self._counts[0][0])

    def _count(self, last: int) -> list[NDArray[Any]]:
        """The number of subsets below each state, layer by layer."""
        dtype = np.int64 if self.items < 62 else object
        counts: list[NDArray[Any]] = [np.array([1] * last, dtype=dtype)]
        for layer in reversed(self._layers):
            below = counts[-1]
            counts.append(below[layer.left] + np.where(layer.taken >= 0, below[layer.taken], 0))
        return counts[::-1]

    def masks(self, start: int, stop: int) -> Bools:
        """The subsets of rank start..stop-1 as rows (n, items). Cost: O(items) array operations,
        memory O(n)."""
        stop = min(stop, self.count)
        size = max(stop - start, 0)
        out = np.zeros((size, self.items), dtype=np.bool_)
        if self.count < _INT64_SAFE:
            rank: NDArray[Any] = np.arange(start, start + size, dtype=np.int64)
        else:
            rank = np.array([start + offset for offset in range(size)], dtype=object)
        state = np.zeros(size, dtype=np.int64)
        for item, layer in enumerate(self._layers):
            left = layer.left[state]
            skipped = self._counts[item + 1][left]
            take = np.asarray(rank >= skipped, dtype=np.bool_)
            out[:, item] = take
            rank = rank - np.where(take, skipped, 0)
            state = np.where(take, layer.taken[state], left)
        return out


def knapsack_of(costs: Sequence[int], budget: int) -> Knapsack:
    """`Knapsack(costs, budget)`; one that was made before is taken again where all costs are equal,
    as around most 8-bit images. Raises RegionError."""
    cost = costs[0] if costs else 0
    if 0 < len(costs) <= _MOST_KEPT and cost > 0 and budget >= 0 and {*costs} == {cost}:
        return _of_equal(len(costs), budget // cost)
    return Knapsack(costs, budget)


# Each holds at most (_MOST_KEPT + 1)^2 states, some 100 KB.
@lru_cache(maxsize=256)
def _of_equal(items: int, most: int) -> Knapsack:
    """The subsets of at most `most` items."""
    return Knapsack([1] * items, most)


def _canonical(states: NDArray[Any], tail: int, sums: NDArray[Any] | None) -> NDArray[Any]:
    """Merge states that admit the same subsets of the remaining items (total cost `tail`, possible
    sums `sums`)."""
    states = np.minimum(states, tail)
    if sums is None:
        return states
    return np.asarray(sums[np.searchsorted(sums, states, side="right") - 1])
