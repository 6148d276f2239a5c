"""HiGHS on the program of an encoding: a point that it proposes, and a proof tree whose every leaf
is closed by our own arithmetic.

HiGHS computes in floats and is never believed. A node of the tree is closed only by a bound that is
recomputed, outward, from the multipliers of its relaxation (`relrob.encoding.milp`), or, where the
features are whole, when it is a single point, which is run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from relrob.branching.highs_model import infeasible, limit, loaded, sparse
from relrob.domain.arrays import Bools, Doubles
from relrob.encoding.encode import Refutation
from relrob.encoding.milp import Program
from relrob.queries.clock import Watch

_NEAR: Final = 1e-6


def _model(rows: Program, objective: Doubles, whole: bool) -> Any:
    """HiGHS with the program loaded; `whole`: with its whole columns as such, otherwise relaxed."""
    ends, sides = (rows.least, rows.most), (rows.lower, rows.upper)
    return loaded(objective, ends, sides, sparse(rows.matrix), rows.whole if whole else None)


def propose(rows: Program, refutation: Refutation, nodes: int, seconds: float) -> Doubles | None:
    """The features (f,) of the lowest point that branch and cut finds, if the refutation holds
    there; a suspicion, not a fact."""
    solver = _model(rows, rows.objective(refutation), whole=True)
    solver.setOptionValue("mip_max_nodes", nodes)
    limit(solver, seconds)
    solver.run()
    found = np.asarray(solver.getSolution().col_value)
    if len(found) != len(rows.least) or not rows.objective(
        refutation
    ) @ found <= refutation.limit + _NEAR * (1 + abs(refutation.limit)):
        return None
    return np.asarray(np.clip(found[: rows.features], 0.0, 1.0))


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
class Tree:
    """Does the refutation hold anywhere? Depth first, over whole features and then ReLU phases.

    `see`: told the features (f,) of a point, true if a witness was found. Whole features: every
    single point is told. Others: the worst point of each relaxation that is not closed; a node
    whose phases are all fixed stays open then.
    """

    def __init__(
        self, watch: Watch, rows: Program, refutation: Refutation, see: Callable[[Doubles], bool]
    ) -> None:
        self._watch, self._rows, self._limit, self._see = watch, rows, refutation.limit, see
        self._objective = rows.objective(refutation)
        self._solver = _model(rows, self._objective, whole=False)
        self._solver.setOptionValue("presolve", "off")
        self._features = rows.whole & (np.arange(len(rows.least)) < rows.features)
        self._points = bool(rows.whole[: rows.features].all())

    def closes(self, nodes: int) -> bool:
        """True when every node is closed or a witness is found; False after `nodes` nodes, when one
        stays open, or time is up."""
        stack = [_Node(self._rows.least, self._rows.most)]
        while stack:
            if self._watch.late or nodes == 0:
                return False
            nodes -= 1
            node = stack.pop()
            if self._points and not node.free(self._features).any():
                if self._see(node.least[: self._rows.features]):
                    return True
                continue
            with self._watch.clock():
                values = self._relax(node)
                if values is None:
                    continue
                column = self._branching(node, values)
            if not self._points and self._see(np.clip(values[: self._rows.features], 0.0, 1.0)):
                return True
            if column is None:
                return False
            first = bool(values[column] < 0.5)
            stack += [node.fixed(column, float(side)) for side in (first, not first)]
        return True

    def _relax(self, node: _Node) -> Doubles | None:
        """Values (columns,) of the relaxation, or None when the node is closed by a bound that was
        recomputed."""
        columns = np.arange(len(node.least), dtype=np.int32)
        self._solver.changeColsBounds(len(columns), columns, node.least, node.most)
        limit(self._solver, self._watch.limit - self._watch.spent)
        self._solver.run()
        rows, solution = self._rows, self._solver.getSolution()
        if infeasible(self._solver):
            _, there, ray = self._solver.getDualRay()
            nothing = np.zeros_like(self._objective)
            if there and any(
                rows.safe_bound(y, nothing, node.least, node.most) > 0 for y in (ray, -ray)
            ):
                return None
        duals = np.asarray(solution.row_dual)
        known = len(duals) == len(rows.lower)
        if known and rows.safe_bound(duals, self._objective, node.least, node.most) > self._limit:
            return None
        values = np.asarray(solution.col_value)
        return values if len(values) == len(columns) else (node.least + node.most) / 2

    def _branching(self, node: _Node, values: Doubles) -> int | None:
        """A feature that is not whole, else a ReLU phase that is not, else the first free feature
        or phase; None without any."""
        distance = np.abs(values - np.rint(values))
        for columns in (self._features, self._rows.whole):
            open_ones = np.where(node.free(columns), distance, 0.0)
            if open_ones.max() > _NEAR:
                return int(open_ones.argmax())
        left = np.flatnonzero(node.free(self._rows.whole))
        return int(left[0]) if len(left) else None
