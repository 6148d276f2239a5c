"""Enumeration: every point of a ladder, on any network and any runtime; complete.

Float MLPs are judged by `FoldedDense`, exactly, with the named runtime for margins that are too thin to call; everything else
runs on its runtime. Points stream through in blocks: memory does not grow with their number.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, Protocol, final

import numpy as np

from relrob.domain.arrays import Bools, Doubles, Floats, Ints
from relrob.domain.network import Arithmetic
from relrob.domain.verdict import Reason
from relrob.networks.evaluator import labels, margins
from relrob.networks.folded import FoldedDense, gives_logits
from relrob.problem import Finding, Findings, Opened, Problem, Share, Transfer
from relrob.regions.ladder import RungSet

BLOCK: Final = 2048


@dataclass(frozen=True, eq=False)
class _Seen:
    """Labels (n,) and margins (n,) of a block of points, final."""

    labels: Ints
    margins: Doubles
    thin: int = 0


class _Judge(Protocol):
    """Labels points of one ladder."""

    def see(self, masks: Bools) -> _Seen:
        """Labels and margins of the points with these masks."""
        ...


@final
class _RuntimeJudge:
    """Runs each perturbed image on the network's runtime."""

    def __init__(self, opened: Opened, rungs: RungSet, label: int) -> None:
        self._opened, self._rungs, self._label = opened, rungs, label
        self._images: Floats = np.repeat(rungs.base[None, :], 1, axis=0)

    def see(self, masks: Bools) -> _Seen:
        if len(masks) > len(self._images):
            self._images = np.repeat(self._rungs.base[None, :], len(masks), axis=0)
        self._rungs.fill(self._images, masks)
        outputs = self._opened.evaluator.outputs(self._images[: len(masks)])
        return _Seen(labels(outputs), margins(outputs, self._label))


@final
class _FoldedJudge:
    """Judges in folded arithmetic, and leaves thin margins to the runtime. Margins are of logits, also where the runtime gives
    probabilities: a thin one is then the folded one, its sign the runtime's."""

    def __init__(self, opened: Opened, rungs: RungSet, label: int, folded: FoldedDense) -> None:
        self._folded, self._label = folded, label
        self._runtime = _RuntimeJudge(opened, rungs, label)
        self._logits = gives_logits(opened.network)

    def see(self, masks: Bools) -> _Seen:
        judged = self._folded.judge(masks)
        found, least = judged.labels.copy(), judged.margins.astype(np.float64)
        thin = np.flatnonzero(judged.thin)
        if len(thin):
            again = self._runtime.see(masks[thin])
            found[thin], least[thin] = again.labels, self._margins(least[thin], again)
        return _Seen(found, least, len(thin))

    def _margins(self, folded: Doubles, again: _Seen) -> Doubles:
        """Margins of thin points; an overflow in folded arithmetic leaves only the sign."""
        if self._logits:
            return again.margins
        right = again.labels == self._label
        return np.where(right, np.fmax(folded, 0.0), np.fmin(folded, 0.0))


def _judge(opened: Opened, rungs: RungSet, label: int) -> _Judge:
    """Folded where the network is a float32 MLP, the runtime otherwise."""
    dense = opened.network.dense
    if dense is None or opened.network.arithmetic is not Arithmetic.FLOAT32:
        return _RuntimeJudge(opened, rungs, label)
    return _FoldedJudge(opened, rungs, label, FoldedDense(dense, rungs, label))


@dataclass
class _Tally:
    """What has been seen of one network so far; `hint`: a witness of the greedy search; `visited`: points of the enumeration."""

    judge: _Judge
    label: int
    limit: float
    hint: Bools | None = None
    searched: int = 0
    visited: int = 0
    effective: int = 0
    thin: int = 0
    margin: float = float("inf")
    thinnest: Bools | None = None
    closest: Bools | None = None
    closest_cost: Any = None
    spent: float = 0.0
    finished: bool = False

    @property
    def late(self) -> bool:
        """True when the time limit has passed."""
        return self.spent > self.limit

    def see(self, masks: Bools) -> _Seen:
        """Judge a block; keeps the time and the smallest margin."""
        begin = time.perf_counter()
        seen = self.judge.see(masks)
        least = int(seen.margins.argmin())
        if self.thinnest is None or seen.margins[least] < self.margin:
            self.margin, self.thinnest = float(seen.margins[least]), masks[least].copy()
        self.spent += time.perf_counter() - begin
        return seen

    def visit(self, masks: Bools, rungs: RungSet) -> Ints:
        """Judge a block of the enumeration and count it; returns its labels."""
        seen = self.see(masks)
        self.visited += len(masks)
        self.thin += seen.thin
        where = np.flatnonzero(seen.labels != self.label)
        if len(where):
            self.effective += len(where)
            costs = rungs.cost_units(masks[where])
            best = int(costs.argmin())
            if self.closest is None or costs[best] < self.closest_cost:
                self.closest, self.closest_cost = masks[where[best]].copy(), costs[best]
        return seen.labels

    def finding(self, counted: bool) -> Finding:
        """The result; `counted`: the enumeration was to visit every point."""
        suspects = (self.closest if self.closest is not None else self.hint, self.thinnest)
        fooled = self.effective > 0 or self.hint is not None
        return Finding(
            proved=self.finished and not fooled,
            effective=self.effective if counted and self.finished else None,
            proposals=tuple(mask for mask in suspects if mask is not None),
            margin=self.margin if self.thinnest is not None else None,
            evaluated=max(self.visited, self.searched),
            stopped=None if self.finished or fooled else Reason.TIME,
            thin=self.thin,
        )


def _greedy(tally: _Tally, rungs: RungSet) -> None:
    """A cheap search: add the feature that lowers the margin most, while the radius allows; stops at the first witness."""
    mask = np.zeros(rungs.features, dtype=np.bool_)
    spent = 0
    while tally.hint is None and not tally.late:
        options = [int(g) for g in np.flatnonzero(~mask) if spent + rungs.costs[g] <= rungs.budget]
        if not options:
            return
        block = np.repeat(mask[None, :], len(options), axis=0)
        block[np.arange(len(options)), options] = True
        seen = tally.see(block)
        tally.searched += len(block)
        best = int(seen.margins.argmin())
        mask, spent = block[best], spent + rungs.costs[options[best]]
        if seen.labels[best] != tally.label:
            tally.hint = mask.copy()


def _verdict_only(tally: _Tally, rungs: RungSet) -> None:
    """Greedy first, then every point until one is effective."""
    _greedy(tally, rungs)
    if tally.hint is not None:
        return
    for rung in rungs.rungs(BLOCK):
        if tally.late:
            return
        tally.visit(rung.masks, rungs)
        if tally.effective:
            return
    tally.finished = True


class _Extremes:
    """Transfer counts at the least (sign 1) or the largest (sign -1) cost of an effective perturbation of the first network."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._cost: Any = None
        self.share = Share()

    def add(self, costs: Any, transfers: Bools, same: Bools) -> None:
        """Effective perturbations of one block: their costs, whether they transfer, and with the same wrong label."""
        signed = costs * self._sign
        best = signed.min()
        if self._cost is not None and best > self._cost:
            return
        at = np.asarray(signed == best, dtype=np.bool_)
        share = Share(int(at.sum()), int((transfers & at).sum()), int((same & at).sum()))
        if best == self._cost:
            share = _sum(self.share, share)
        self._cost, self.share = best, share


def _sum(one: Share, two: Share) -> Share:
    return Share(one.effective + two.effective, one.transferred + two.transferred, one.same_class + two.same_class)


def _count(tallies: list[_Tally], rungs: RungSet) -> Transfer | None:
    """Greedy first, then every point on every network until each is done or late; transfer counts if two were completed."""
    for tally in tallies:
        _greedy(tally, rungs)
    everything, closest, farthest = Share(), _Extremes(1), _Extremes(-1)
    for rung in rungs.rungs(BLOCK):
        masks = rung.masks
        found = [tally.visit(masks, rungs) for tally in tallies if not tally.late]
        if not found:
            return None
        where = np.flatnonzero(found[0] != tallies[0].label)
        if len(found) == 2 and len(where):
            transfers = np.asarray(found[1][where] != tallies[1].label)
            same = transfers & (found[0][where] == found[1][where])
            everything = _sum(everything, Share(len(where), int(transfers.sum()), int(same.sum())))
            costs = rungs.cost_units(masks[where])
            closest.add(costs, transfers, same)
            farthest.add(costs, transfers, same)
    for tally in tallies:
        tally.finished = tally.visited == rungs.count
    if len(tallies) != 2 or not all(tally.finished for tally in tallies):
        return None
    return Transfer(everything, closest.share, farthest.share)


@final
class Enumerate:
    """Visits every point. Complete: UNKNOWN comes only from the time limit."""

    name = "enumerate"
    complete = True

    def accepts(self, problem: Problem) -> str | None:
        """Any ladder; a large one ends in the time limit."""
        return None

    def solve(self, problem: Problem) -> Findings:
        """Counts everything, or stops each network at its verdict."""
        rungs, limit = problem.rungs, problem.budget.seconds
        tallies = [_Tally(_judge(opened, rungs, problem.label), problem.label, limit) for opened in problem.networks]
        if problem.counts:
            transfer = _count(tallies, rungs)
        else:
            transfer = None
            for tally in tallies:
                _verdict_only(tally, rungs)
        each = tuple(tally.finding(problem.counts) for tally in tallies)
        return Findings(each, transfer, max(finding.evaluated for finding in each))
