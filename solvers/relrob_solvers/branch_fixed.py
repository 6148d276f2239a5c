"""Branching on a fixed-point network in an L-infinity ball: linear programs guide, exact integer
bounds decide. Complete.

For each way in which a rival can win (`relrob.bounding.fixed.threats`) cells of code vectors and
hidden outputs are taken best first. HiGHS relaxes a cell: accumulators are linear in what enters a
layer, the staircase clip(a >> shift) is replaced by its convex hull. Its duals, rounded to
integers, are the multipliers of the exact bound, which alone closes a cell. An open cell's solution
is rounded and improved by single codes; what the network gets wrong there is a witness. Cells are
split on the neuron whose relaxation is loosest, in the end on single codes, so that the search is
finite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from relrob.bounding.codes import code_box, coded
from relrob.bounding.fixed import Closed, CodeCell, Threat, Whole, bound, cell_of, settled, threats
from relrob.branching import fixed_relaxation as staircase_program
from relrob.branching.frontier import Frontier
from relrob.domain.arrays import Doubles, Floats, Ints
from relrob.domain.network import Network
from relrob.domain.region import Norm, Region
from relrob.domain.verdict import Reason
from relrob.networks.fixed.file import fixed_of
from relrob.networks.fixed.network import FixedNetwork
from relrob.networks.open import Opened
from relrob.queries.clock import Deadline
from relrob.queries.findings import CellProof, Finding, Findings, alone
from relrob.queries.query import Query
from relrob.regions.ball import BallSet

_UNIT: Final = 1 << 20  # multipliers of the exact bound are whole multiples of 1/_UNIT
_MOST: Final = 2.0**62
_TRIES: Final = 10  # cells between two attempts to make a witness of one
_MOVES: Final = 300
_FINEST: Final = 1 << 20  # up to this scale every code is that of a float32 pixel


@dataclass(frozen=True, eq=False)
class _Open:
    """An open cell, and its relaxation where HiGHS finished; `threat`: minus the relaxed value;
    `age`: how many cells were closed before."""

    threat: float
    age: int
    cell: CodeCell
    found: staircase_program.Relaxed | None


@final
class Staircase:
    """Complete: UNKNOWN comes only from the time limit."""

    name = "branch"
    complete = True

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        """Fixed-point networks in L-infinity balls."""
        for fixed in map(fixed_of, networks):
            if fixed is None:
                return "it branches on fixed-point networks only"
            if fixed.pixel_scale > _FINEST:
                return f"it takes {_FINEST} codes a pixel at most"
        if region.kind != Norm.LINF:
            return "it takes L-infinity balls only"
        return None

    def solve(self, query: Query[BallSet]) -> Findings:
        """Each network by itself."""
        return alone(tuple(_find(query, opened) for opened in query.networks))


def _find(query: Query[BallSet], opened: Opened) -> Finding:
    """One network."""
    network = fixed_of(opened.network)
    assert network is not None  # noqa: S101 - accepts() saw to it
    low, high = code_box(network, query.points)
    return _Search(network, query, low, high).run()


class _Search:
    """One network around one image."""

    def __init__(self, network: FixedNetwork, query: Query[BallSet], low: Ints, high: Ints) -> None:
        self._network, self._query = network, query
        self._root = cell_of(network, low, high)
        self._ball, self._label = query.points, query.label
        self._deadline = Deadline(query.budget.seconds)
        self._witness: Floats | None = None
        self._evaluated = 0
        self._step = "bounds"

    def run(self) -> Finding:
        """Every threat in turn: first with one bound each, then branching on those that are
        left."""
        every = threats(self._network, self._label)
        closed = [self._first(threat) for threat in every]
        for number, threat in enumerate(every):
            if closed[number] is not None:
                continue
            closed[number] = self._branch(threat)
            if self._witness is not None:
                return Finding(False, (self._witness,), None, self._evaluated, "witness")
            if closed[number] is None:
                return Finding(False, (), None, self._evaluated, "branch", Reason.TIME)
        every_cell = tuple(tuple(cells or ()) for cells in closed)
        proof = CellProof(every_cell) if self._query.certify else None
        return Finding(True, (), None, self._evaluated, self._step, proof=proof)

    def _first(self, threat: Threat) -> list[Closed] | None:
        """The whole ball with multipliers from the chords of the staircases: no linear program."""
        forms = np.zeros(len(threat.forms), dtype=np.int64)
        forms[0] = _UNIT
        sums = chords(self._network, self._root, threat.forms[0].coefficients)
        return self._close(self._root, threat, forms, sums)

    def _close(
        self, cell: CodeCell, threat: Threat, forms: Whole, sums: tuple[Whole, ...]
    ) -> list[Closed] | None:
        """The cell, if these multipliers close it."""
        value = bound(self._network, cell, threat, forms, sums)
        return [Closed(cell.path, forms, sums)] if value < 0 else None

    def _branch(self, threat: Threat) -> list[Closed] | None:
        """Closed cells that make up the ball; None when a witness is found or time is up."""
        closed: list[Closed] = []
        frontier = Frontier[_Open]()
        made = 0
        for cell in self._settled([self._root], threat, closed):
            frontier.push(cell.threat, cell.age, cell)
        while frontier:
            if self._deadline.late:
                return None
            task = frontier.pop()
            if made % _TRIES == 0 and task.found is not None and self._seek(task, threat):
                return None
            made += 1
            self._step = "branch"
            layer, neuron, value = staircase_program.loosest(
                self._network, task.cell, task.found, threat
            )
            if layer < 0:  # a single code vector that is wrong
                self._try(task.cell.low[0])
                return None
            halves = task.cell.split(self._network, layer, neuron, value)
            there = {half.path[-1] for half in halves}
            paths = [(*task.cell.path, (layer, neuron, value, side)) for side in (0, 1)]
            closed += [Closed(path) for path in paths if path[-1] not in there]
            for cell in self._settled(halves, threat, closed):
                frontier.push(cell.threat, cell.age, cell)
        return closed

    def _settled(
        self, cells: list[CodeCell], threat: Threat, closed: list[Closed]
    ) -> Iterator[_Open]:
        """The cells that stay open; the others are added to `closed`."""
        for cell in cells:
            if settled(self._network, cell) == self._label:
                closed.append(Closed(cell.path))
                continue
            found = staircase_program.relax(self._network, cell, threat, self._deadline.left)
            if found is None:
                yield _Open(-np.inf, len(closed), cell, None)
                continue
            forms, sums = _integers(found.forms), tuple(map(_integers, found.sums))
            shut = self._close(cell, threat, forms, sums) if (forms > 0).any() else None
            if shut is None:
                yield _Open(-found.value, len(closed), cell, found)
            else:
                closed += shut

    def _seek(self, task: _Open, threat: Threat) -> bool:
        """Round a relaxed solution, and improve it; True when that made a witness."""
        assert task.found is not None  # noqa: S101
        codes = np.clip(np.rint(task.found.codes), self._root.low[0], self._root.high[0]).astype(
            np.int64
        )
        ends = (self._root.low[0], self._root.high[0])
        return self._try(
            improved(self._network, codes, *ends, self._label, threat.rival, self._deadline)
        )

    def _try(self, codes: Ints) -> bool:
        """Is the network wrong on these codes?"""
        self._evaluated += 1
        if int(self._network.evaluate(codes[None, :])[0].argmax()) == self._label:
            return False
        self._witness = coded(self._network, self._ball, codes)
        return self._witness is not None


def _integers(values: Doubles) -> Whole:
    """Multiples of 1/_UNIT near the values, cut to 62 bits: any are sound."""
    return np.clip(np.rint(values * _UNIT), -_MOST, _MOST).astype(np.int64)


def chords(network: FixedNetwork, cell: CodeCell, coefficients: Ints) -> tuple[Whole, ...]:
    """Multipliers of the accumulators: each staircase as the chord between its ends on the cell,
    going backward."""
    found: list[Whole] = []
    given: Doubles = coefficients.astype(np.float64)
    for number in range(len(network.layers) - 2, -1, -1):
        (first, last), low, high = cell.sums[number], cell.low[number + 1], cell.high[number + 1]
        pull = given * (high - low) / np.maximum(last - first, 1)
        found.insert(0, _integers(pull))
        given = network.layers[number].weights @ pull
    return tuple(found)


def improved(
    network: FixedNetwork,
    codes: Ints,
    low: Ints,
    high: Ints,
    label: int,
    rival: int,
    deadline: Deadline,
) -> Ints:
    """Codes that favour `rival` over `label` more: again and again the single change of a code that
    helps most, until none does."""
    first, last = network.layers[0].weights.astype(np.float64), network.layers[-1]
    gain = (last.weights[:, rival] - last.weights[:, label]).astype(np.float64)
    if len(network.layers) == 1:
        gain = np.eye(network.classes)[rival] - np.eye(network.classes)[label]
    hidden = [
        (layer, layer.weights.astype(np.float64), layer.offset) for layer in network.layers[1:-1]
    ]
    sums = codes @ first + network.layers[0].offset
    for _ in range(_MOVES):
        if deadline.late:
            break
        targets = [low, high, np.maximum(codes - 1, low), np.minimum(codes + 1, high)]
        places = [np.flatnonzero(target != codes) for target in targets]
        where = np.concatenate(places)
        change = np.concatenate(
            [target[at] - codes[at] for target, at in zip(targets, places, strict=True)]
        )
        if not len(where):
            break
        values = np.vstack([sums, sums + change[:, None] * first[where]])
        scores = _scores(network, values, hidden, gain)
        best = int(scores.argmax())
        if best == 0 or scores[best] <= scores[0] + 1e-9:
            break
        codes = codes.copy()
        codes[where[best - 1]] += change[best - 1]
        sums = values[best]
    return codes


def _scores(network: FixedNetwork, sums: Doubles, hidden: list[Any], gain: Doubles) -> Doubles:
    """How far the rival leads, (n,), for accumulators (n, m) of the first layer; ties by what the
    staircase hides."""
    if len(network.layers) == 1:
        return np.asarray(sums @ gain)
    layer = network.layers[0]
    values = np.clip(np.floor(sums * 2.0**-layer.shift), layer.low, layer.high)
    smooth = np.clip(sums * 2.0**-layer.shift - 0.5, layer.low - 0.5, layer.high)
    for layer, weights, offset in hidden:
        values, smooth = values @ weights + offset, smooth @ weights + offset
        values = np.clip(np.floor(values * 2.0**-layer.shift), layer.low, layer.high)
        smooth = np.clip(smooth * 2.0**-layer.shift - 0.5, layer.low - 0.5, layer.high)
    return np.asarray(values @ gain + 0.1 * (smooth @ gain))
