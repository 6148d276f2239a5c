"""A part of a ladder: some features moved, some left alone, the others free within the rest of the
radius."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

import numpy as np

from relrob.domain.arrays import Bools
from relrob.regions.knapsack import Knapsack, knapsack_of
from relrob.regions.ladder import RungSet

_MAX_SUMS: Final = 200_000


@final
@dataclass(frozen=True, eq=False)
class Part:
    """The points of `rungs` with the features `moved` moved and only `free` ones (indices,
    ascending) moved besides.

    `room`: the rest of the budget, in the ladder's units; `path`: the splits that lead to the part,
    g + 1 where feature g was moved and -(g + 1) where it was left alone. Free features that no
    longer fit are dropped when a part is made.
    """

    rungs: RungSet
    moved: tuple[int, ...]
    free: tuple[int, ...]
    room: int
    path: tuple[int, ...] = ()

    @property
    def integral(self) -> bool:
        """True: a feature is moved wholly or not at all."""
        return True

    def prices(self) -> tuple[list[int], int]:
        """(costs of the free features, rest of the radius), integers in the largest unit that
        measures all."""
        costs = [self.rungs.costs[g] for g in self.free]
        unit = int(np.gcd.reduce(np.array(costs or [1], dtype=object)))
        return [cost // unit for cost in costs], self.room // unit

    @cached_property
    def knapsack(self) -> Knapsack:
        """The subsets of the free features that fit."""
        return knapsack_of([self.rungs.costs[g] for g in self.free], self.room)

    @property
    def count(self) -> int:
        """Exact number of points."""
        return self.knapsack.count

    def exceeds(self, limit: int) -> bool:
        """Are there more points than `limit`? The dearest features often tell without counting; no
        counts are kept."""
        some, fit, room = 1, 1, self.room
        for size, cost in enumerate(sorted((self.rungs.costs[g] for g in self.free), reverse=True)):
            room -= cost
            if room < 0:
                break
            # Every subset of size + 1 features fits.
            fit = fit * (len(self.free) - size) // (size + 1)
            some += fit
            if some > limit:
                return True
        return knapsack_of([self.rungs.costs[g] for g in self.free], self.room).count > limit

    @property
    def spent(self) -> int:
        """The cost of the cheapest point of the part: no free feature is moved."""
        return self.rungs.budget - self.room

    def masks(self, start: int, stop: int) -> Bools:
        """The part's points of rank start..stop-1, as masks (n, F) of the ladder."""
        chosen = self.knapsack.masks(start, stop)
        masks = np.zeros((len(chosen), self.rungs.features), dtype=np.bool_)
        masks[:, list(self.moved)] = True
        masks[:, list(self.free)] = chosen
        return masks

    def blocks(self, size: int) -> Iterator[Bools]:
        """All masks, `size` at a time."""
        for start in range(0, self.count, size):
            yield self.masks(start, start + size)

    def split(self, feature: int) -> tuple[Part, Part]:
        """(the points at which a free feature is moved, the others)."""
        rest = tuple(g for g in self.free if g != feature)
        room = self.room - self.rungs.costs[feature]
        return (
            part_of(self.rungs, (*self.moved, feature), rest, room, (*self.path, feature + 1)),
            part_of(self.rungs, self.moved, rest, self.room, (*self.path, -feature - 1)),
        )

    def dearest(self) -> tuple[int, int] | None:
        """(largest cost of a point, number of such points); None when the different sums are too
        many."""
        sums = {self.spent: 1}
        for g in self.free:
            cost = self.rungs.costs[g]
            for total, ways in list(sums.items()):
                if total + cost <= self.rungs.budget:
                    sums[total + cost] = sums.get(total + cost, 0) + ways
            if len(sums) > _MAX_SUMS:
                return None
        top = max(sums)
        return top, sums[top]


def part_of(
    rungs: RungSet,
    moved: tuple[int, ...],
    free: tuple[int, ...],
    room: int,
    path: tuple[int, ...] = (),
) -> Part:
    """The part, without the free features that no longer fit."""
    return Part(rungs, moved, tuple(g for g in free if rungs.costs[g] <= room), room, path)


def whole(rungs: RungSet) -> Part:
    """The whole ladder."""
    return part_of(rungs, (), tuple(range(rungs.features)), rungs.budget)
