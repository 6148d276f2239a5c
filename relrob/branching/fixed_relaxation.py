"""The linear program that relaxes a cell of a fixed-point network, and where it is loosest. Floats:
a guide, never a proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np

from relrob.bounding.fixed import CodeCell, Threat, steps
from relrob.branching.highs_model import INFINITY, Sparse, limit, loaded, optimal
from relrob.domain.arrays import Doubles, Ints
from relrob.networks.fixed.network import FixedLayer, FixedNetwork

_DEAR: Final = 64.0  # price of a form below 0: no multiplier of a form is larger
_DEARER: Final = 1024.0  # price of a unit between an accumulator and what enters it


@dataclass(frozen=True, eq=False)
class Relaxed:
    """`value` of the first form, less the prices; `codes` (d,); of each hidden layer its `sums` and
    `outputs`; the duals of the forms and of the accumulators."""

    value: float
    codes: Doubles
    reached: tuple[Doubles, ...]
    outputs: tuple[Doubles, ...]
    forms: Doubles
    sums: tuple[Doubles, ...]


@dataclass
class _Rows:
    """Columns and rows as they are added."""

    cost: list[float] = field(default_factory=list)
    least: list[float] = field(default_factory=list)
    most: list[float] = field(default_factory=list)
    lower: list[float] = field(default_factory=list)
    upper: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    columns: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    held: int = 0

    def variables(self, least: Any, most: Any, cost: Any = 0.0) -> Ints:
        """New columns; their numbers."""
        least = np.atleast_1d(np.asarray(least, dtype=np.float64))
        first = len(self.least)
        self.least += least.tolist()
        self.most += np.broadcast_to(np.asarray(most, dtype=np.float64), least.shape).tolist()
        self.cost += np.broadcast_to(np.asarray(cost, dtype=np.float64), least.shape).tolist()
        return np.arange(first, first + len(least), dtype=np.int64)

    def row(self, columns: Any, values: Any, lower: float, upper: float) -> int:
        """A new row; its number."""
        self.starts.append(self.held)
        self.columns.append(np.asarray(columns, dtype=np.int32))
        self.values.append(np.asarray(values, dtype=np.float64))
        self.held += len(self.columns[-1])
        self.lower.append(lower)
        self.upper.append(upper)
        return len(self.lower) - 1


def relax(network: FixedNetwork, cell: CodeCell, threat: Threat, seconds: float) -> Relaxed | None:
    """The relaxation's solution and duals; None when HiGHS does not finish. Never infeasible: what
    does not fit has a price."""
    rows, inf = _Rows(), INFINITY
    entering = rows.variables(cell.low[0], cell.high[0])
    accumulators, outputs, defining = [], [], []
    for number, layer in enumerate(network.layers[:-1]):
        (first, last), low, high = cell.sums[number], cell.low[number + 1], cell.high[number + 1]
        sums, passed = rows.variables(first, last), rows.variables(low, high)
        needed = (low < high) | (first > cell.natural[number][0]) | (last < cell.natural[number][1])
        found = np.full(len(sums), -1, dtype=np.int64)
        for neuron in np.flatnonzero(needed):
            slack = rows.variables([0.0, 0.0], inf, _DEARER)
            used = np.flatnonzero(layer.weights[:, neuron])
            columns = np.concatenate([entering[used], [sums[neuron]], slack])
            weights = np.concatenate([layer.weights[used, neuron], [-1.0, 1.0, -1.0]])
            start = -float(layer.offset[neuron])
            found[neuron] = rows.row(columns, weights, start, start)
            _hull(
                rows,
                layer,
                (sums[neuron], passed[neuron]),
                _corners(layer, cell, number, int(neuron)),
            )
        accumulators.append(sums)
        outputs.append(passed)
        defining.append(found)
        entering = passed
    asked = []
    for form in threat.forms[1:]:
        slack = rows.variables(0.0, inf, _DEAR)
        used = np.flatnonzero(form.coefficients)
        columns, weights = (
            np.concatenate([entering[used], slack]),
            np.concatenate([form.coefficients[used], [1.0]]),
        )
        asked.append(rows.row(columns, weights, -float(form.constant), inf))
    cost = np.array(rows.cost)
    cost[entering] -= threat.forms[0].coefficients
    solved = _solve(rows, cost, seconds)
    if solved is None:
        return None
    least, values, duals = solved
    return Relaxed(
        value=threat.forms[0].constant - least,
        codes=values[: len(cell.low[0])],
        reached=tuple(values[sums] for sums in accumulators),
        outputs=tuple(values[passed] for passed in outputs),
        forms=np.array([1.0, *(max(duals[row], 0.0) for row in asked)]),
        sums=tuple(duals[found] for found in defining),
    )


def _solve(rows: _Rows, cost: Doubles, seconds: float) -> tuple[float, Doubles, Doubles] | None:
    """(objective, values of the columns, duals of the rows and a 0), or None."""
    nothing = rows.held == 0
    matrix = Sparse(
        np.array([*rows.starts, rows.held], dtype=np.int32),
        np.empty(0, np.int32) if nothing else np.concatenate(rows.columns),
        np.empty(0) if nothing else np.concatenate(rows.values),
    )
    ends = np.array(rows.least), np.array(rows.most)
    solver = loaded(cost, ends, (np.array(rows.lower), np.array(rows.upper)), matrix)
    limit(solver, seconds)
    solver.run()
    if not optimal(solver):
        return None
    solution = solver.getSolution()
    return (
        float(solver.getInfo().objective_function_value),
        np.asarray(solution.col_value, dtype=np.float64),
        np.append(np.asarray(solution.row_dual, dtype=np.float64), 0.0),  # place -1: of no row
    )


def _corners(
    layer: FixedLayer, cell: CodeCell, number: int, neuron: int
) -> list[tuple[float, float]]:
    """The points (accumulator, output) whose hull holds the staircase of one neuron on the cell."""
    low, high = (int(ends[number + 1][neuron]) for ends in (cell.low, cell.high))
    least, most = (np.array([ends[neuron]]) for ends in cell.sums[number])
    points = []
    for step in sorted({low, min(low + 1, high), max(high - 1, low), high}):
        value = np.array([step])
        first, last = steps(layer, value, value, least, most)
        points += [(float(first[0]), float(step)), (float(last[0]), float(step))]
    return points


def _hull(
    rows: _Rows, layer: FixedLayer, columns: tuple[int, int], points: list[tuple[float, float]]
) -> None:
    """Rows above and below the staircase."""
    inf = INFINITY
    for sign in (1.0, -1.0):
        chain: list[tuple[float, float]] = []
        for a, h in sorted((a, sign * h) for a, h in points):
            while len(chain) >= 2 and _above(chain[-2], (a, h), chain[-1]):
                chain.pop()
            chain.append((a, h))
        for (a, h), (b, k) in pairwise(chain):
            if b > a:
                slope = (k - h) / (b - a)
                rows.row([columns[1], columns[0]], [sign, -slope], -inf, h - slope * a)


def _above(
    left: tuple[float, float], right: tuple[float, float], middle: tuple[float, float]
) -> bool:
    """Is the middle point on or below the line from left to right?"""
    return (middle[1] - left[1]) * (right[0] - left[0]) <= (right[1] - left[1]) * (
        middle[0] - left[0]
    )


def loosest(
    network: FixedNetwork, cell: CodeCell, found: Relaxed | None, threat: Threat
) -> tuple[int, int, int]:
    """(layer, neuron, value) to split at: where the relaxed output is furthest from what the
    staircase allows, weighted by how much it matters; else a neuron that is not fixed; else the
    widest code. Layer -1: the cell is a single code vector."""
    best: tuple[float, int, int, int] = (0.0, -1, -1, 0)
    weight = sum(np.abs(form.coefficients.astype(np.float64)) for form in threat.forms)
    for number in range(len(network.layers) - 2, -1, -1):
        layer, low, high = network.layers[number], cell.low[number + 1], cell.high[number + 1]
        if found is not None:
            scores, values = _looseness(
                layer, found.reached[number], found.outputs[number], low, high
            )
            scores = np.where(low < high, scores * np.maximum(weight, 1e-3), -1.0)
            neuron = int(scores.argmax())
            if scores[neuron] > best[0]:
                best = (float(scores[neuron]), number + 1, neuron, int(values[neuron]))
        weight = np.abs(layer.weights.astype(np.float64)) @ (np.asarray(weight) * 2.0**-layer.shift)
    if best[1] >= 0 and best[0] > 1e-6:
        return best[1], best[2], best[3]
    for place in range(len(network.layers) - 1, -1, -1):
        width = cell.high[place] - cell.low[place]
        if width.max(initial=0) > 0:
            neuron = int(width.argmax())
            return place, neuron, int(cell.low[place][neuron] + (width[neuron] - 1) // 2)
    return -1, -1, 0


def _looseness(
    layer: FixedLayer, sums: Doubles, outputs: Doubles, low: Ints, high: Ints
) -> tuple[Doubles, Ints]:
    """How far outputs (n,) are from the band in which the staircase of these accumulators lies, and
    a little for the staircase itself; and the value at which a split would help: 0 | 1 while a ReLU
    may be off."""
    unit = 2.0**layer.shift
    above, below = (np.clip(at, low, high) for at in (sums / unit, (sums - unit + 1) / unit))
    exact = np.clip(np.floor(sums / unit), low, high)
    far = np.maximum(np.maximum(outputs - above, below - outputs), 0.0) + 1e-3 * np.abs(
        outputs - exact
    )
    value = np.clip(exact, low, high - 1).astype(np.int64)
    value = np.where((low == layer.low) & (sums < 3 * unit), low, value)
    return far, value
