"""Branching on features: bounds decide whole parts of a ladder, small parts are enumerated;
complete.

Both networks go down one tree. A part on which a network's label is proved is settled for it,
whether right or wrong everywhere; a part that is open for some network is split on the feature that
moves its threatened margins most, until it is small enough to be run. Points of settled parts are
counted by dynamic programming, so counts are exact however large the ladder is. Without counts,
each network has a search of its own (`relrob.branching.best_first`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, final

from relrob.attacks.greedy import greedy
from relrob.bounding.certain import CertainLabels, Settled
from relrob.branching.best_first import BestFirst
from relrob.domain.arrays import Doubles
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.judging.judges import BLOCK, nearest_judge
from relrob.judging.tally import BOUNDS, Tally, charged
from relrob.judging.transfer import Said, Same, TransferCount
from relrob.networks.enclose import enclosure_of, refusal
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings, LadderProof, Leaf
from relrob.queries.query import Query
from relrob.queries.solver import Work
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part, whole

LEAF: Final = 12_000  # a bound costs as much as running some thousands of points


@dataclass
class _Side:
    """One network in the search: its tally, the label that is wanted, its bounds where it has an
    enclosure, the parts that its proof rests on, and its own search for a verdict, once begun."""

    tally: Tally
    right: int
    bounds: CertainLabels | None
    leaves: list[Leaf] = field(default_factory=list)
    search: BestFirst | None = None

    def settle(self, part: Part) -> Settled | None:
        """The part's one label, if bounds prove it."""
        if self.bounds is None:
            return None
        with self.tally.clock():
            return self.bounds.settle(part)

    def accept(self, part: Part, settled: Settled) -> None:
        """Bounds gave the whole part one label."""
        self.tally.settled(part, settled)
        self.tally.accept(part, settled.wrong, settled.margin)
        self.leaves.append(Leaf(part.path, bound=True))
        if not part.path:
            self.tally.step = self.tally.step or BOUNDS

    def finding(self, query: Query[RungSet]) -> Finding:
        """What is known of the network, with the leaves where they are asked for."""
        found = self.tally.finding(query.counts)
        return (
            replace(found, proof=LadderProof(tuple(self.leaves)))
            if query.certify and found.proved
            else found
        )


@dataclass(frozen=True)
class _Task:
    """A part to do, and the label that it is known to have on each side (None: open)."""

    part: Part
    labels: tuple[int | None, ...]


@final
class Branch:
    """Bounds, branching and enumeration of parts of at most `leaf` points. Complete: UNKNOWN comes
    only from the time limit."""

    name = "branch"
    complete = True

    def __init__(self, leaf: int = LEAF) -> None:
        self._leaf = leaf

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Networks of which at least one has bounds: float MLPs and dense LiteRT files."""
        bounded = any(enclosure_of(network) is not None for network in networks)
        return None if bounded else refusal(networks)

    def begin(self, query: Query[RungSet]) -> Work:
        """The work, with the cheap search for a witness done."""
        return _Work(query, self._leaf)

    def solve(self, query: Query[RungSet]) -> Findings:
        """Counts everything on one tree, or stops each network at its verdict."""
        work = _Work(query, self._leaf)
        if query.counts:
            work.count(1)
        else:
            for number in work.open():
                work.search(number, 1)
        return work.findings()


@final
class _Work:
    """Counting and searching, in any order: a network that its own search proves right is not
    looked at again."""

    def __init__(self, query: Query[RungSet], leaf: int) -> None:
        self._query, self._leaf = query, leaf
        self._sides = [_side(opened, query) for opened in query.networks]
        self._transfers = TransferCount(query.points)
        self._stack = [_Task(whole(query.points), (None,) * len(self._sides))]
        self._ran, self._counted = 0, False
        for side in self._sides:
            greedy(side.tally, query.points)

    def open(self) -> tuple[int, ...]:
        """The networks without a verdict."""
        tallies = enumerate(side.tally for side in self._sides)
        return tuple(number for number, tally in tallies if not (tally.fooled or tally.finished))

    def progress(self, number: int) -> float:
        """Share of the points that are counted on a network."""
        tally = self._sides[number].tally
        return (tally.visited + tally.proved) / self._query.points.count

    def spent(self, number: int) -> float:
        """Share of its time limit that a network has spent."""
        return self._sides[number].tally.spent / self._query.budget.seconds

    def leave(self, number: int, seconds: float, proved: bool) -> None:
        """Another solver spent these seconds on a network, and proved it right everywhere or
        not."""
        self._sides[number].tally.spent += seconds
        if proved:
            self._prove(number)

    def _prove(self, number: int) -> None:
        """No part is open for the network any more."""
        self._sides[number].tally.finished = True
        label = self._query.label
        self._stack = [_Task(task.part, _known(task.labels, number, label)) for task in self._stack]

    def count(self, share: float) -> None:
        """Every point of the ladder, proved or run, on every network that has time left, if `share`
        is 1."""
        until = share * self._query.budget.seconds
        while self._stack:
            active = [not side.tally.late for side in self._sides]
            if not any(active) or (
                share < 1 and any(side.tally.spent > until for side in self._sides)
            ):
                return
            with _shared([side.tally for side in self._sides]):
                self._step(active)
        self._counted = True
        for side in self._sides:
            side.tally.finished = side.tally.finished or (
                side.tally.visited + side.tally.proved == self._query.points.count
            )

    def _step(self, active: list[bool]) -> None:
        """One part of the tree."""
        task = self._stack.pop()
        left, count = _step(self._sides, active, task, self._transfers, self._leaf)
        self._stack += left
        self._ran += count

    def search(self, number: int, share: float) -> None:
        """The parts on which the network is open, the most threatened first."""
        side = self._sides[number]
        if side.search is None:
            parts = [task.part for task in self._stack if task.labels[number] is None]
            side.search = BestFirst(side.tally, side.bounds, parts, self._leaf, side.leaves)
        if side.search.run(share * self._query.budget.seconds) and side.tally.hint is None:
            self._prove(number)

    def findings(self) -> Findings:
        """What is known so far."""
        each = tuple(side.finding(self._query) for side in self._sides)
        complete = (
            self._counted
            and len(each) == 2
            and all(finding.effective is not None for finding in each)
        )
        run = max(self._ran, *(finding.evaluated for finding in each))
        return Findings(
            each, self._transfers.result if complete else None, min(run, self._query.points.count)
        )


def _known(labels: tuple[int | None, ...], number: int, label: int) -> tuple[int | None, ...]:
    """With the label of one network known."""
    return tuple(label if at == number else known for at, known in enumerate(labels))


@contextmanager
def _shared(tallies: list[Tally]) -> Iterator[None]:
    """Charge every network for the time that none of them is charged for."""
    begin, before = time.perf_counter(), sum(tally.spent for tally in tallies)
    yield
    rest = time.perf_counter() - begin - (sum(tally.spent for tally in tallies) - before)
    for tally in tallies:
        tally.spent += max(rest, 0.0)


def _side(opened: Opened, query: Query[RungSet]) -> _Side:
    enclosure = enclosure_of(opened.network)
    judge, right = nearest_judge(opened, query.points, query.wanted, enclosure), query.label
    tally = Tally(judge, query.budget.seconds, spots=query.spots.of(opened))
    with tally.clock():
        bounds = None if enclosure is None else CertainLabels(enclosure, query.points, right)
    return _Side(tally, right, bounds)


def _step(
    sides: list[_Side], active: list[bool], task: _Task, transfers: TransferCount, leaf: int
) -> tuple[list[_Task], int]:
    """Settle, run or split one part; returns what is left to do, and how many points were run."""
    part, labels = task.part, list(task.labels)
    slopes: Doubles | None = None
    large = part.exceeds(leaf)
    for number, side in enumerate(sides):
        if labels[number] is None and active[number] and slopes is None and large:
            settled = side.settle(part)
            if settled is not None and settled.label is not None:
                labels[number] = settled.label
                side.accept(part, settled)
            elif settled is not None:
                slopes = (
                    settled.slopes
                )  # where one network is open the next, if looser, would be too
    waiting = [number for number, label in enumerate(labels) if label is None and active[number]]
    if not waiting:
        return _settled(sides, part, labels, active, transfers), 0
    if slopes is None:
        _run(sides, waiting, part, labels, active, transfers)
        return [], part.count
    return [_Task(half, tuple(labels)) for half in part.split(_feature(part, slopes))], 0


def _settled(
    sides: list[_Side],
    part: Part,
    labels: list[int | None],
    active: list[bool],
    transfers: TransferCount,
) -> list[_Task]:
    """Count a part that every active network has one label on; split it if its costs are too many
    to add up."""
    if len(labels) == 2 and all(active):
        one, two = (side.right != label for side, label in zip(sides, labels, strict=True))
        dearest = part.dearest()
        if dearest is None:
            return [_Task(half, tuple(labels)) for half in part.split(part.free[0])]
        transfers.add_part(part, (one, two), labels[0] == labels[1], dearest)
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
        said: list[Said] = [
            Same(len(masks), -1 if label is None else label, label != side.right)
            for side, label in zip(sides, labels, strict=True)
        ]
        for number in waiting:
            if not sides[number].tally.late:
                said[number] = sides[number].tally.visit(masks, part.rungs)
        if len(sides) == 2 and all(active) and not any(side.tally.late for side in sides):
            transfers.add_points(masks, said[0], said[1])


def _feature(part: Part, slopes: Doubles) -> int:
    """The free feature that moves the margins most, the first of equals."""
    return max(part.free, key=lambda g: (slopes[g], -g))
