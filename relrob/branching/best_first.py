"""The verdict of one network, without counts: the most threatened part first, and a beam of
witnesses before any part.

Any-time: it stops where it is told to and goes on from there. Memory is bounded: beyond `FRONTIER`
open parts, the search goes depth first until it is below that number again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Final, final

import numpy as np

from relrob.bounding.certain import CertainLabels
from relrob.branching.frontier import Frontier
from relrob.domain.arrays import Bools, Doubles
from relrob.judging.judges import BLOCK
from relrob.judging.tally import BOUNDS, WITNESS, Tally
from relrob.queries.findings import Leaf
from relrob.regions.part import Part

FRONTIER: Final = 4096
BEAM: Final = 16


@dataclass(frozen=True, eq=False)
class _Open:
    """A part without a proof. `slopes`: how much each feature moves its margin, None where it is to
    be run; `start`: the rank of the first point that was not run yet."""

    part: Part
    slopes: Doubles | None
    start: int = 0


@final
class BestFirst:
    """Does the network of `tally` give its label on all of `parts`? Parts of up to `leaf` points
    are run, as are all without `bounds`. What proves the label is added to `leaves`."""

    def __init__(
        self,
        tally: Tally,
        bounds: CertainLabels | None,
        parts: Iterable[Part],
        leaf: int,
        leaves: list[Leaf],
    ) -> None:
        self._tally, self._bounds, self._leaf, self._leaves = tally, bounds, leaf, leaves
        self._open = Frontier[_Open](FRONTIER)
        self._number = 0
        self._beamed = False
        self._first = list(parts)

    def run(self, seconds: float) -> bool:
        """Go on until a witness is found (`tally.hint`), every part is proved, or `seconds` are
        spent on the network in all; True in the first two cases."""
        tally = self._tally
        begin, before = time.perf_counter(), tally.spent
        while tally.hint is None and (self._first or self._open):
            tally.spent = max(tally.spent, before + time.perf_counter() - begin)
            if tally.spent > seconds:
                return False
            if self._first:
                self._add(self._first.pop(), -inf)
            elif not self._beamed:
                self._beam(min(seconds, tally.spent + (seconds - tally.spent) / 4))
            else:
                self._expand(self._open.pop(), seconds)
        return True

    def _push(self, threat: float, left: _Open) -> None:
        """Keep an open part; the smallest `threat` comes first, the oldest of equals."""
        self._number += 1
        self._open.push(threat, self._number, left)

    def _add(self, part: Part, threat: float) -> None:
        """Prove a part, or keep it."""
        tally = self._tally
        with tally.clock():
            if self._bounds is None or not part.exceeds(self._leaf):
                self._push(threat, _Open(part, None))
                return
            settled = self._bounds.settle(part)
        if settled.label is None:
            self._push(settled.margin, _Open(part, settled.slopes))
            return
        tally.settled(part, settled)
        step = "" if part.path else BOUNDS
        if not settled.wrong:
            tally.margin, tally.step = min(tally.margin, settled.margin), step
            self._leaves.append(Leaf(part.path, bound=True))
        else:
            tally.hint, tally.step = _cheapest(part), step

    def _expand(self, chosen: _Open, seconds: float) -> None:
        """Split a part on the feature that moves its margin most, the first of equals, or run
        it."""
        part, slopes = chosen.part, chosen.slopes
        if slopes is None:
            self._run(chosen, seconds)
            return
        with self._tally.clock():
            halves = part.split(max(part.free, key=lambda g: (slopes[g], -g)))
        for half in halves:
            if self._tally.hint is None:
                self._add(half, -inf)

    def _run(self, chosen: _Open, seconds: float) -> None:
        """The points of a part, until one is wrong; what time does not allow is kept."""
        tally, part = self._tally, chosen.part
        start = chosen.start
        with tally.clock():
            count = part.count
        while start < count:
            if tally.spent > seconds:
                self._open.put_back(_Open(part, None, start))
                return
            with tally.clock():
                masks = part.masks(start, start + BLOCK)
            self._try(masks, part)
            if tally.hint is not None:
                return
            start += BLOCK
        self._leaves.append(Leaf(part.path, bound=False))

    def _try(self, masks: Bools, part: Part) -> Doubles:
        """Run some points; the cheapest that is wrong becomes the witness. Returns their margins
        (n,)."""
        tally = self._tally
        seen = tally.see(masks)
        tally.tried += len(masks)
        tally.close_calls += seen.close_calls
        wrong = np.flatnonzero(seen.fails)
        if len(wrong):
            costs = part.rungs.cost_units(masks[wrong])
            tally.hint = masks[wrong[int(costs.argmin())]].copy()
        return seen.margins

    def _beam(self, seconds: float) -> None:
        """From a part's cheapest point, `BEAM` sets of features at a time, each grown by every
        feature that fits."""
        self._beamed = True
        first = next(iter(self._open), None)
        if self._bounds is None or first is None or self._tally.hint is not None:
            return
        part = first.part
        beam, seen = _cheapest(part)[None, :], set[bytes]()
        while len(beam) and self._tally.hint is None and self._tally.spent <= seconds:
            with self._tally.clock():
                grown = _grown(beam, part, seen)
            if not len(grown):
                return
            margins = np.concatenate(
                [self._try(grown[at : at + BLOCK], part) for at in range(0, len(grown), BLOCK)]
            )
            beam = grown[np.argsort(margins, kind="stable")[:BEAM]]
        if self._tally.hint is not None:
            self._tally.step = WITNESS


def _cheapest(part: Part) -> Bools:
    """The point at which no free feature is moved."""
    mask = np.zeros(part.rungs.features, dtype=np.bool_)
    mask[list(part.moved)] = True
    return mask


def _grown(beam: Bools, part: Part, seen: set[bytes]) -> Bools:
    """The points (n, F) of the part with one feature more than one of the beam, none of them
    `seen`; adds them to `seen`."""
    rows, features = np.nonzero(~beam)
    masks = beam[rows]
    masks[np.arange(len(rows)), features] = True
    fits = np.isin(features, part.free) & np.asarray(
        part.rungs.cost_units(masks) <= part.rungs.budget, dtype=np.bool_
    )
    fresh = []
    for mask in masks[fits]:
        key = mask.tobytes()
        if key not in seen:
            seen.add(key)
            fresh.append(mask)
    return np.array(fresh, dtype=np.bool_).reshape(len(fresh), part.rungs.features)
