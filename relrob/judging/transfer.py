"""Counts of the transfer from the first network to the second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from relrob.domain.arrays import Bools, Ints
from relrob.queries.findings import Share, Transfer
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part


class Said(Protocol):
    """What a network says of n points (`relrob.judging.judges.Seen`)."""

    @property
    def labels(self) -> Ints:
        """Their labels (n,)."""
        ...

    @property
    def fails(self) -> Bools:
        """Where the property fails (n,)."""
        ...


@dataclass(frozen=True, eq=False)
class Same:
    """What is said of `n` points that all have one label, by proof; -1 for none."""

    n: int
    label: int
    wrong: bool

    @property
    def labels(self) -> Ints:
        """The label, (n,)."""
        return np.full(self.n, self.label, dtype=np.int64)

    @property
    def fails(self) -> Bools:
        """Is it wrong? (n,)"""
        return np.full(self.n, self.wrong, dtype=np.bool_)


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

    def __init__(self, rungs: RungSet) -> None:
        self._rungs = rungs
        self._everything = Share()
        self._closest, self._farthest = _Extreme(1), _Extreme(-1)

    def add_points(self, masks: Bools, first: Said, second: Said) -> None:
        """Add points (n, F) with what the two networks say of them."""
        where = np.flatnonzero(first.fails)
        if not len(where):
            return
        transfers = second.fails[where]
        same = transfers & (first.labels[where] == second.labels[where])
        self._everything = add_shares(self._everything, _share(transfers, same))
        costs = self._rungs.cost_units(masks[where])
        for extreme, best in ((self._closest, costs.min()), (self._farthest, costs.max())):
            at = np.asarray(costs == best, dtype=np.bool_)
            extreme.add(best, _share(transfers[at], same[at]))

    def add_part(
        self, part: Part, fails: tuple[bool, bool], same: bool, dearest: tuple[int, int]
    ) -> None:
        """Add a part on all of whose points the property `fails` or holds for either network;
        `same`: they say the same label; `dearest`: (largest cost of a point, number of such
        points)."""
        if not fails[0]:
            return
        transfers, alike = int(fails[1]), int(fails[1] and same)
        self._everything = add_shares(
            self._everything, Share(part.count, part.count * transfers, part.count * alike)
        )
        self._closest.add(part.spent, Share(1, transfers, alike))
        cost, ways = dearest
        self._farthest.add(cost, Share(ways, ways * transfers, ways * alike))

    @property
    def result(self) -> Transfer:
        """The counts so far."""
        return Transfer(self._everything, self._closest.share, self._farthest.share)


def _share(transfers: Bools, same: Bools) -> Share:
    return Share(len(transfers), int(transfers.sum()), int(same.sum()))
