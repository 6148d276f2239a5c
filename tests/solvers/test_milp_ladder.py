"""The MILP solver against enumeration; HiGHS's word alone never counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from highspy import HighsModelStatus

from relrob.branching import cubes, highs_model
from relrob.deciding.choose import solver_named
from relrob.deciding.decide import decide
from relrob.domain.arrays import Doubles
from relrob.domain.verdict import Reason, Status
from relrob.encoding.milp import Program
from relrob.errors import AlarmError, UsageError
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.spots import NetworkSpots
from relrob_solvers import milp_ladder as milp
from relrob_solvers.milp_ladder import Milp
from tests.instances import (
    SHAPE,
    agreed,
    check_all,
    file_problems,
    hostile_problem,
    random_problem,
)
from tests.support import numpy_opened, random_dense

MANY = 10**6


@pytest.mark.usefixtures("search")
def test_the_same_verdicts_as_enumeration_on_float_networks() -> None:
    check_all(
        map(random_problem, range(100)),
        lambda seed: Milp(unstable=[0, 6, MANY][seed % 3], nodes=[200, 5][seed % 2]),
        20,
    )


@pytest.mark.usefixtures("search")
def test_the_same_verdicts_on_hostile_networks() -> None:
    check_all(map(hostile_problem, range(150)), lambda _: Milp(unstable=MANY), 10)


@pytest.mark.parametrize(
    ("scheme", "runtime"), [("dynamic", "builtin"), ("int8", "builtin"), ("int8", "xnnpack")]
)
@pytest.mark.usefixtures("search")
def test_the_same_verdicts_on_quantised_files(tmp_path: Path, scheme: str, runtime: str) -> None:
    check_all(file_problems(tmp_path, scheme, runtime, 12), lambda _: Milp(unstable=MANY), 0)


def liar(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    """HiGHS is made to say that everything is infeasible, to return wrong multipliers, or values
    that are no numbers."""
    rng = np.random.default_rng(0)
    real = highs_model._open

    class Liar:
        def __init__(self) -> None:
            self._inner: Any = real()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def getModelStatus(self) -> Any:  # noqa: N802 - HiGHS's name
            return (
                HighsModelStatus.kInfeasible
                if lie == "infeasible"
                else self._inner.getModelStatus()
            )

        def getDualRay(self) -> Any:  # noqa: N802
            return None, True, rng.normal(0, 1e3, self._inner.getNumRow())

        def getSolution(self) -> Any:  # noqa: N802
            found = self._inner.getSolution()
            if lie == "values":
                found.col_value = [float("nan")] * self._inner.getNumCol()
            elif lie != "infeasible":
                found.row_dual = list(
                    rng.normal(0, 1e-3 if lie == "noise" else 1e6, self._inner.getNumRow())
                )
            return found

    monkeypatch.setattr(highs_model, "_open", Liar)


@pytest.mark.parametrize("lie", ["infeasible", "bound", "noise", "values"])
def test_a_solver_that_lies_proves_nothing(monkeypatch: pytest.MonkeyPatch, lie: str) -> None:
    """Verdicts stay those of enumeration."""
    liar(monkeypatch, lie)
    found: Counter[Status] = Counter()
    for seed in range(12):
        found.update(agreed(random_problem(seed), Milp(unstable=MANY)))
    assert found[Status.NOT_ROBUST] > 0


def test_bounds_that_were_not_recomputed_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: the recomputed bound is replaced by one that always closes the node. Spot
    checks see it too."""

    def trusting(
        self: Program, y: Doubles, objective: Doubles, least: Doubles, most: Doubles
    ) -> float:
        return float("inf")

    monkeypatch.setattr(Program, "safe_bound", trusting)
    monkeypatch.setattr(milp, "propose", lambda *_: None)
    monkeypatch.setattr(cubes, "greedy", lambda tally, rungs: None)
    with pytest.raises(AlarmError, match="a solver proved"):
        for seed in range(300):
            agreed(hostile_problem(seed), Milp(unstable=MANY))
    monkeypatch.setattr(NetworkSpots, "part", lambda *_: None)
    with pytest.raises(AssertionError):
        for seed in range(300):
            agreed(hostile_problem(seed), Milp(unstable=MANY))


def test_the_same_question_twice() -> None:
    problem = random_problem(7)
    one, two = (decide(problem, Milp(unstable=MANY)) for _ in range(2))
    for first, second in zip(one.verdicts, two.verdicts, strict=True):
        assert (first.status, first.margin, first.evaluated) == (
            second.status,
            second.margin,
            second.evaluated,
        )


def test_time_limits_and_refusals() -> None:
    problem = random_problem(2)
    late = Query(problem.points, Label(problem.label), problem.networks, Budget(1e-9), True)
    for verdict in decide(late, Milp()).verdicts:
        assert (verdict.status, verdict.reason) == (Status.UNKNOWN, Reason.TIME)
    box = numpy_opened(random_dense(3, (36, 6, 3)), SHAPE, black_box=True)
    with pytest.raises(UsageError, match="no bounds for test; float MLPs"):
        decide(Query(problem.points, Label(0), (box,), Budget(1), False), solver_named("milp"))
