"""Counts of the transfer from the first network to the second."""

from __future__ import annotations

from typing import Any

import numpy as np

from relrob.domain.arrays import Bools, Ints
from relrob.queries.findings import Share, Transfer
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part


class _Extreme:
    """The share at the least (sign 1) or the largest (sign -1) cost of an effective perturbation of
    the first network."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._cost: Any = None
        self.share = Share()

    def add(self, cost: Any, share: Share) -> None:
        """Add effective perturbations of one cost."""
        signed = cost * self._sign
        if self._cost is None or signed < self._cost:
            self._cost, self.share = signed, share
        elif signed == self._cost:
            self.share = add_shares(self.share, share)


def add_shares(one: Share, two: Share) -> Share:
    """The sum of two shares, number by number."""
    return Share(
        one.effective + two.effective,
        one.transferred + two.transferred,
        one.same_class + two.same_class,
    )


class TransferCount:
    """Counts the transfer from the first network to the second, by blocks of points and by whole
    parts."""

    def __init__(self, rungs: RungSet, label: int) -> None:
        self._rungs, self._label = rungs, label
        self._everything = Share()
        self._closest, self._farthest = _Extreme(1), _Extreme(-1)

    def add_points(self, masks: Bools, first: Ints, second: Ints) -> None:
        """Add points (n, F) with the labels (n,) of the two networks."""
        where = np.flatnonzero(first != self._label)
        if not len(where):
            return
        transfers = second[where] != self._label
        same = transfers & (first[where] == second[where])
        self._everything = add_shares(self._everything, _share(transfers, same))
        costs = self._rungs.cost_units(masks[where])
        for extreme, best in ((self._closest, costs.min()), (self._farthest, costs.max())):
            at = np.asarray(costs == best, dtype=np.bool_)
            extreme.add(best, _share(transfers[at], same[at]))

    def add_part(self, part: Part, first: int, second: int, dearest: tuple[int, int]) -> None:
        """Add a part whose points all have these labels; `dearest`: (largest cost of a point,
        number of such points)."""
        if first == self._label:
            return
        transfers, same = int(second != self._label), int(first == second)
        self._everything = add_shares(
            self._everything, Share(part.count, part.count * transfers, part.count * same)
        )
        self._closest.add(part.spent, Share(1, transfers, same))
        cost, ways = dearest
        self._farthest.add(cost, Share(ways, ways * transfers, ways * same))

    @property
    def result(self) -> Transfer:
        """The counts so far."""
        return Transfer(self._everything, self._closest.share, self._farthest.share)


def _share(transfers: Bools, same: Bools) -> Share:
    return Share(len(transfers), int(transfers.sum()), int(same.sum()))
