"""HiGHS with a linear program loaded: the one module that imports it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import highspy
import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Bools, Doubles

INFINITY: Final[float] = highspy.kHighsInf


@dataclass(frozen=True, eq=False)
class Sparse:
    """A matrix row by row: where each row starts (and the last one ends), (rows + 1,); `columns`
    and `values` of its entries, (entries,)."""

    starts: NDArray[np.int32]
    columns: NDArray[np.int32]
    values: Doubles


def sparse(matrix: Doubles) -> Sparse:
    """A dense matrix (rows, columns) as HiGHS holds it."""
    used = matrix != 0
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))]).astype(np.int32)
    return Sparse(starts, np.nonzero(used)[1].astype(np.int32), matrix[used])


def loaded(
    cost: Doubles,
    ends: tuple[Doubles, Doubles],
    sides: tuple[Doubles, Doubles],
    matrix: Sparse,
    whole: Bools | None = None,
) -> Any:
    """HiGHS with min { cost @ x : ends[0] <= x <= ends[1], sides[0] <= matrix @ x <= sides[1] }
    loaded, x (columns,); `whole`: columns that are integers. One thread, one seed."""
    solver = _open()
    solver.silent()
    for option, value in (("threads", 1), ("parallel", "off"), ("random_seed", 0)):
        solver.setOptionValue(option, value)
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(cost), len(sides[0])
    model.col_cost_, (model.col_lower_, model.col_upper_) = cost, ends
    model.row_lower_, model.row_upper_ = sides
    held: Any = model.a_matrix_
    held.format_ = highspy.MatrixFormat.kRowwise
    held.start_, held.index_, held.value_ = matrix.starts, matrix.columns, matrix.values
    if whole is not None:
        kinds = highspy.HighsVarType
        model.integrality_ = [kinds.kInteger if each else kinds.kContinuous for each in whole]
    solver.passModel(model)
    return solver


def limit(solver: Any, seconds: float) -> None:
    """Stop after so many seconds more, a hundredth at least."""
    solver.setOptionValue("time_limit", solver.getRunTime() + max(seconds, 0.01))


def infeasible(solver: Any) -> bool:
    """Does HiGHS say that there is no solution?"""
    return bool(solver.getModelStatus() == highspy.HighsModelStatus.kInfeasible)


def optimal(solver: Any) -> bool:
    """Does HiGHS say that it found the best solution?"""
    return bool(solver.getModelStatus() == highspy.HighsModelStatus.kOptimal)


def _open() -> Any:
    """HiGHS; its stubs leave out half of it."""
    maker: Any = highspy.Highs
    return maker()
