"""The points seen of one network, and the findings that follow."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np

from relrob.bounding.certain import Settled
from relrob.domain.arrays import Bools
from relrob.domain.verdict import Reason
from relrob.judging.judges import Judge, Seen
from relrob.queries.findings import Finding
from relrob.queries.spots import NetworkSpots
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part

WITNESS: Final = "witness"


BOUNDS: Final = "bounds"


T = TypeVar("T")


@dataclass
class Tally:
    """The points seen of one network so far.

    `hint`: a witness of a search that does not count; `searched`, `tried`: numbers of points run by
    the greedy search and by later ones; `visited`: number of points run one by one and counted;
    `proved`: of points decided without running them; `close_calls`: of points that folded
    arithmetic left to the runtime; `margin`: the smallest met or proved; `least_point`,
    `least_margin`: the point of the smallest margin met; `closest`: the cheapest effective
    perturbation; `step`: as in `Finding`; `spots`: runs some points of proved parts.
    """

    judge: Judge
    limit: float
    hint: Bools | None = None
    searched: int = 0
    tried: int = 0
    visited: int = 0
    effective: int = 0
    proved: int = 0
    close_calls: int = 0
    margin: float = float("inf")
    least_point: Bools | None = None
    least_margin: float = float("inf")
    closest: Bools | None = None
    closest_cost: Any = None
    spent: float = 0.0
    finished: bool = False
    step: str = ""
    spots: NetworkSpots | None = None

    @property
    def fooled(self) -> bool:
        """Is there an effective perturbation?"""
        return self.effective > 0 or self.hint is not None

    @property
    def late(self) -> bool:
        """Has the time limit passed?"""
        return self.spent > self.limit

    def see(self, masks: Bools) -> Seen:
        """Judge a block. Its time, its smallest margin and the point of that margin are kept."""
        with self.clock():
            seen = self.judge.see(masks)
            least = int(seen.margins.argmin())
            if self.least_point is None or seen.margins[least] < self.least_margin:
                self.least_margin, self.least_point = (
                    float(seen.margins[least]),
                    masks[least].copy(),
                )
            self.margin = min(self.margin, self.least_margin)
        return seen

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Charge the time of the block to this network."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.spent += time.perf_counter() - begin

    def visit(self, masks: Bools, rungs: RungSet) -> Seen:
        """Judge a block of the enumeration and count it."""
        seen = self.see(masks)
        self.visited += len(masks)
        self.close_calls += seen.close_calls
        where = np.flatnonzero(seen.fails)
        if len(where):
            self.effective += len(where)
            costs = rungs.cost_units(masks[where])
            best = int(costs.argmin())
            if self.closest is None or costs[best] < self.closest_cost:
                self.closest, self.closest_cost = masks[where[best]].copy(), costs[best]
        return seen

    def accept(self, part: Part, fails: bool, margin: float) -> None:
        """Count a part on all of whose points the property was proved to hold, or to fail.

        `margin`: bound of the property's margins, from below, or from above where it fails.
        """
        self.proved += part.count
        self.margin = min(self.margin, margin)
        if fails:
            self.effective += part.count
            if self.closest is None or part.spent < self.closest_cost:
                cheapest = np.zeros(part.rungs.features, dtype=np.bool_)
                cheapest[list(part.moved)] = True
                self.closest, self.closest_cost = cheapest, part.spent

    def settled(self, part: Part, settled: Settled) -> None:
        """Run points of a part for which bounds proved one label. Raises AlarmError."""
        if self.spots is not None and settled.label is not None:
            with self.clock():
                self.spots.part(part, settled.label, settled.least, settled.gains)

    def finding(self, counted: bool) -> Finding:
        """The result. `counted`: the enumeration was to visit every point."""
        suspects = (self.closest if self.closest is not None else self.hint, self.least_point)
        return Finding(
            proved=self.finished and not self.fooled,
            proposals=tuple(mask for mask in suspects if mask is not None),
            margin=self.margin if np.isfinite(self.margin) else None,
            evaluated=max(self.visited + self.tried, self.searched),
            step=self.step,
            stopped=None if self.finished or self.fooled else Reason.TIME,
            effective=self.effective if counted and self.finished else None,
            close_calls=self.close_calls,
            cut=counted and not self.finished,
        )


def charged(blocks: Iterator[T], tallies: Sequence[Tally]) -> Iterator[T]:
    """The blocks. The time to list them is charged to every network."""
    while True:
        begin = time.perf_counter()
        block = next(blocks, None)
        for tally in tallies:
            tally.spent += time.perf_counter() - begin
        if block is None:
            return
        yield block
