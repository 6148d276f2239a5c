"""MILP: HiGHS on big-M programs of what bounds and a cheap search leave open; its float arithmetic is never believed. Complete.

Cube and conquer (`relrob.cubes`): parts of the ladder with too many open ReLUs are split on a feature. For each threat to the label
HiGHS's branch and cut proposes a point, which is run. The proof is a tree of our own over features and ReLU phases: a node is
closed only by a bound that is recomputed, outward, from the multipliers of its relaxation (`relrob.bounding.relaxation`), or
when it is a single point, which is run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import highspy
import numpy as np

from relrob.bounding.encoding import Claim, Encoding
from relrob.bounding.relaxation import Program, program
from relrob.cubes import around, refusal, run, solve
from relrob.domain.arrays import Bools, Doubles
from relrob.problem import Findings, Problem
from relrob.tally import Tally

UNSTABLE: Final = 64  # relaxations of more open ReLUs cost more than splitting the part (measured)
NODES: Final = 200  # nodes of one tree before its part is split
_NEAR: Final = 1e-6


@final
class Milp:
    """HiGHS on parts of the ladder with at most `unstable` open ReLUs. UNKNOWN comes only from the limit. Verdicts, not counts."""

    name = "milp"
    complete = True

    def __init__(self, unstable: int = UNSTABLE, nodes: int = NODES) -> None:
        self._unstable, self._nodes = unstable, nodes

    def accepts(self, problem: Problem) -> str | None:
        """Networks that all have bounds: float MLPs and dense LiteRT files."""
        return refusal(problem)

    def solve(self, problem: Problem) -> Findings:
        """Each network by itself, within the budget."""
        return solve(problem, self._ask, self._unstable)

    def _ask(self, tally: Tally, encoding: Encoding) -> bool:
        """Every threat to a part in turn."""
        with tally.clock():
            rows = program(encoding)
        for claim in encoding.claims:
            with tally.clock():
                proposed = _propose(rows, claim, self._nodes, tally.limit - tally.spent)
            if proposed is not None:
                masks = around(encoding.mask(proposed), encoding.ladder)
                if len(masks):
                    run(tally, masks)
            if tally.hint is not None:
                return True
            if not _Tree(tally, encoding, rows, claim).closes(self._nodes):
                return False
        return True


def _open() -> Any:
    """HiGHS; its stubs leave out half of it."""
    maker: Any = highspy.Highs
    return maker()


def _model(rows: Program, objective: Doubles, whole: bool) -> Any:
    """HiGHS with the program loaded; `whole`: with its whole columns as such, otherwise relaxed."""
    solver = _open()
    solver.silent()
    for option, value in (("threads", 1), ("parallel", "off"), ("random_seed", 0)):
        solver.setOptionValue(option, value)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(rows.least), len(rows.lower)
    model.col_cost_, model.col_lower_, model.col_upper_ = objective, rows.least, rows.most
    model.row_lower_, model.row_upper_ = rows.lower, rows.upper
    _fill(model.a_matrix_, rows.matrix)
    if whole:
        kinds = highspy.HighsVarType
        model.integrality_ = [kinds.kInteger if each else kinds.kContinuous for each in rows.whole]
    solver.passModel(model)
    return solver


def _fill(target: Any, matrix: Doubles) -> None:
    """A dense matrix, row by row, as HiGHS holds it."""
    used = matrix != 0
    target.format_ = highspy.MatrixFormat.kRowwise
    target.start_ = np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int32)
    target.index_ = np.nonzero(used)[1].astype(np.int32)
    target.value_ = matrix[used]


def _propose(rows: Program, claim: Claim, nodes: int, seconds: float) -> list[bool] | None:
    """The features of the lowest point that branch and cut finds, if the claim holds there; a suspicion, not a fact."""
    solver = _model(rows, rows.objective(claim), whole=True)
    solver.setOptionValue("mip_max_nodes", nodes)
    solver.setOptionValue("time_limit", max(seconds, 0.01))
    solver.run()
    found = np.asarray(solver.getSolution().col_value)
    if len(found) != len(rows.least) or not rows.objective(claim) @ found <= claim.limit + _NEAR * (
        1 + abs(claim.limit)
    ):
        return None
    return [bool(value > 0.5) for value in found[: rows.features]]


@dataclass(frozen=True, eq=False)
class _Node:
    """Ends of the columns, some of them fixed."""

    least: Doubles
    most: Doubles

    def fixed(self, column: int, value: float) -> _Node:
        """With one more."""
        least, most = self.least.copy(), self.most.copy()
        least[column] = most[column] = value
        return _Node(least, most)

    def free(self, columns: Bools) -> Bools:
        """Which of these columns are not fixed."""
        return np.asarray(columns & (self.least < self.most), dtype=np.bool_)


@final
class _Tree:
    """Does the claim hold anywhere on the part? Depth first."""

    def __init__(self, tally: Tally, encoding: Encoding, rows: Program, claim: Claim) -> None:
        self._tally, self._encoding, self._rows, self._limit = tally, encoding, rows, claim.limit
        self._objective = rows.objective(claim)
        self._solver = _model(rows, self._objective, whole=False)
        self._solver.setOptionValue("presolve", "off")
        self._features = np.arange(len(rows.least)) < rows.features

    def closes(self, nodes: int) -> bool:
        """True when every node is closed or a witness is found; False after `nodes` nodes, or when time is up."""
        stack = [_Node(self._rows.least, self._rows.most)]
        while stack and self._tally.hint is None:
            if self._tally.late or nodes == 0:
                return False
            nodes -= 1
            node = stack.pop()
            if not node.free(self._features).any():
                self._point(node)
                continue
            with self._tally.clock():
                values = self._relax(node)
                if values is None:
                    continue
                column = self._branching(node, values)
            stack += [node.fixed(column, float(side)) for side in (values[column] < 0.5, values[column] >= 0.5)]
        return True

    def _point(self, node: _Node) -> None:
        """A single point, if it is one of the ladder."""
        mask = self._encoding.mask([bool(value) for value in node.least[: self._rows.features]])
        rungs = self._encoding.ladder.rungs
        if rungs.cost_units(mask[None, :])[0] <= rungs.budget:
            run(self._tally, mask[None, :])

    def _relax(self, node: _Node) -> Doubles | None:
        """Values (columns,) of the relaxation, or None when the node is closed by a bound that was recomputed."""
        columns = np.arange(len(node.least), dtype=np.int32)
        self._solver.changeColsBounds(len(columns), columns, node.least, node.most)
        self._solver.setOptionValue(
            "time_limit", self._solver.getRunTime() + max(self._tally.limit - self._tally.spent, 0.01)
        )
        self._solver.run()
        rows, solution = self._rows, self._solver.getSolution()
        if self._solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
            _, there, ray = self._solver.getDualRay()
            nothing = np.zeros_like(self._objective)
            if there and any(rows.safe_bound(y, nothing, node.least, node.most) > 0 for y in (ray, -ray)):
                return None
        duals = np.asarray(solution.row_dual)
        known = len(duals) == len(rows.lower)
        if known and rows.safe_bound(duals, self._objective, node.least, node.most) > self._limit:
            return None
        values = np.asarray(solution.col_value)
        return values if len(values) == len(columns) else (node.least + node.most) / 2

    def _branching(self, node: _Node, values: Doubles) -> int:
        """A feature that is not whole, else a ReLU phase that is not, else the first free feature."""
        distance = np.abs(values - np.rint(values))
        for columns in (self._features, self._rows.whole):
            open_ones = np.where(node.free(columns), distance, 0.0)
            if open_ones.max() > _NEAR:
                return int(open_ones.argmax())
        return int(np.flatnonzero(node.free(self._features))[0])
