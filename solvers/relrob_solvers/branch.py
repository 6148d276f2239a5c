"""Branching on features: bounds decide whole parts of a ladder, small parts are enumerated; complete.

Both networks go down one tree. A part on which a network's label is proved is settled for it, whether right or wrong everywhere; a
part that is open for some network is split on the feature that moves its threatened margins most, until it is small enough to be
run. Points of settled parts are counted by dynamic programming, so counts are exact however large the ladder is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, final

import numpy as np

from relrob.bounding.certain import CertainLabels, Settled
from relrob.bounding.part import Part, whole
from relrob.domain.arrays import Doubles
from relrob.networks.enclose import enclosure_of
from relrob.problem import Finding, Findings, Leaf, Opened, Problem
from relrob.tally import BLOCK, Tally, TransferCount, charged, greedy, nearest_judge

LEAF: Final = 12_000  # a bound costs as much as running some thousands of points


@dataclass
class _Side:
    """One network in the search: its tally, its bounds where it has an enclosure, and the parts that its proof rests on."""

    tally: Tally
    bounds: CertainLabels | None
    leaves: list[Leaf] = field(default_factory=list)

    def settle(self, part: Part) -> Settled | None:
        """The part's one label, if bounds prove it."""
        if self.bounds is None:
            return None
        with self.tally.clock():
            return self.bounds.settle(part)

    def accept(self, part: Part, label: int, margin: float) -> None:
        """Bounds gave the whole part this label."""
        self.tally.accept(part, label, margin)
        self.leaves.append(Leaf(part.path, bound=True))

    def finding(self, problem: Problem) -> Finding:
        """What is known of the network, with the leaves where they are asked for."""
        found = self.tally.finding(problem.counts)
        return replace(found, leaves=tuple(self.leaves)) if problem.certify and found.proved else found


@dataclass(frozen=True)
class _Task:
    """A part to do, and the label that it is known to have on each side (None: open)."""

    part: Part
    labels: tuple[int | None, ...]


@final
class Branch:
    """Bounds, branching and enumeration of parts of at most `leaf` points. Complete: UNKNOWN comes only from the time limit."""

    name = "branch"
    complete = True

    def __init__(self, leaf: int = LEAF) -> None:
        self._leaf = leaf

    def accepts(self, problem: Problem) -> str | None:
        """Networks of which at least one has bounds: float MLPs and dense LiteRT files."""
        if any(_enclosed(opened) for opened in problem.networks):
            return None
        return "no bounds for these networks; float MLPs and dense .tflite files have them"

    def solve(self, problem: Problem) -> Findings:
        """Counts everything on one tree, or stops each network at its verdict."""
        sides = [_side(opened, problem) for opened in problem.networks]
        transfers = TransferCount(problem.rungs, problem.label)
        for side in sides:
            greedy(side.tally, problem.rungs)
        if problem.counts:
            run = _count(sides, problem, transfers, self._leaf)
        else:
            for side in sides:
                if side.tally.hint is None:
                    _search(side, problem, self._leaf)
            run = max(side.tally.visited for side in sides)
        each = tuple(side.finding(problem) for side in sides)
        complete = problem.counts and len(sides) == 2 and all(side.tally.finished for side in sides)
        searched = max(side.tally.searched for side in sides)
        return Findings(each, transfers.result if complete else None, min(max(run, searched), problem.rungs.count))


def _enclosed(opened: Opened) -> bool:
    return enclosure_of(opened.network) is not None


def _side(opened: Opened, problem: Problem) -> _Side:
    enclosure = enclosure_of(opened.network)
    judge = nearest_judge(opened, problem.rungs, problem.label, enclosure)
    tally = Tally(judge, problem.label, problem.budget.seconds)
    with tally.clock():
        bounds = None if enclosure is None else CertainLabels(enclosure, problem.rungs, problem.label)
    return _Side(tally, bounds)


def _count(sides: list[_Side], problem: Problem, transfers: TransferCount, leaf: int) -> int:
    """Every point of the ladder, proved or run, on every network that has time left; returns how many points were run."""
    run = 0
    open_everywhere: tuple[int | None, ...] = (None,) * len(sides)
    stack = [_Task(whole(problem.rungs), open_everywhere)]
    while stack:
        active = [not side.tally.late for side in sides]
        if not any(active):
            return run
        left, count = _step(sides, active, stack.pop(), transfers, leaf)
        stack += left
        run += count
    for side in sides:
        side.tally.finished = side.tally.visited + side.tally.proved == problem.rungs.count
    return run


def _step(
    sides: list[_Side], active: list[bool], task: _Task, transfers: TransferCount, leaf: int
) -> tuple[list[_Task], int]:
    """Settle, run or split one part; returns what is left to do, and how many points were run."""
    part, labels = task.part, list(task.labels)
    slopes: Doubles | None = None
    for number, side in enumerate(sides):
        if labels[number] is None and active[number] and slopes is None and part.count > leaf:
            settled = side.settle(part)
            if settled is not None and settled.label is not None:
                labels[number] = settled.label
                side.accept(part, settled.label, settled.margin)
            elif settled is not None:
                slopes = settled.slopes  # where one network is open the next, if looser, would be too
    waiting = [number for number, label in enumerate(labels) if label is None and active[number]]
    if not waiting:
        return _settled(part, labels, active, transfers), 0
    if slopes is None:
        _run(sides, waiting, part, labels, active, transfers)
        return [], part.count
    return [_Task(half, tuple(labels)) for half in part.split(_feature(part, slopes))], 0


def _settled(part: Part, labels: list[int | None], active: list[bool], transfers: TransferCount) -> list[_Task]:
    """Count a part that every active network has one label on; split it if its costs are too many to add up."""
    if len(labels) == 2 and all(active):
        first, second = labels
        dearest = part.dearest()
        if dearest is None:
            return [_Task(half, tuple(labels)) for half in part.split(part.free[0])]
        transfers.add_part(part, int(first or 0), int(second or 0), dearest)
    return []


def _run(
    sides: list[_Side],
    waiting: list[int],
    part: Part,
    labels: list[int | None],
    active: list[bool],
    transfers: TransferCount,
) -> None:
    """Run every point of a part on the networks that are open there."""
    for number in waiting:
        sides[number].leaves.append(Leaf(part.path, bound=False))
    for masks in charged(part.blocks(BLOCK), [sides[number].tally for number in waiting]):
        said = [np.full(len(masks), -1 if label is None else label, dtype=np.int64) for label in labels]
        for number in waiting:
            if not sides[number].tally.late:
                said[number] = sides[number].tally.visit(masks, part.rungs)
        if len(sides) == 2 and all(active) and not any(side.tally.late for side in sides):
            transfers.add_points(masks, said[0], said[1])


def _search(side: _Side, problem: Problem, leaf: int) -> None:
    """One network, until its first effective perturbation or the proof that there is none."""
    stack = [whole(problem.rungs)]
    while stack:
        if side.tally.late or side.tally.effective:
            return
        part = stack.pop()
        settled = side.settle(part) if part.count > leaf else None
        if settled is not None and settled.label is not None:
            side.accept(part, settled.label, settled.margin)
        elif settled is None:
            side.leaves.append(Leaf(part.path, bound=False))
            for masks in charged(part.blocks(BLOCK), [side.tally]):
                side.tally.visit(masks, problem.rungs)
                if side.tally.late or side.tally.effective:
                    return
        else:
            stack += part.split(_feature(part, settled.slopes))
    side.tally.finished = True


def _feature(part: Part, slopes: Doubles) -> int:
    """The free feature that moves the margins most, the first of equals."""
    return max(part.free, key=lambda g: (slopes[g], -g))
