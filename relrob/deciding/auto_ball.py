"""`auto` in a ball or lattice, where bounds do not tell: branching, then MILP and SMT where few
ReLUs are open."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Final

from relrob import registry
from relrob.bounding.ball import BallBounds, MovedBounds, moves_of
from relrob.bounding.survey import survey
from relrob.deciding.auto import crash_reason
from relrob.domain.query import Budget
from relrob.domain.verdict import Reason
from relrob.errors import RelrobError
from relrob.networks.batches import one_line
from relrob.networks.enclose import enclosure_of
from relrob.networks.open import Opened
from relrob.queries.findings import BallFinding
from relrob.queries.problem import BallProblem
from relrob.queries.solver import BallSolver

log = logging.getLogger(__name__)

FEW: Final = 96  # open ReLUs over the whole ball: programs of more do not end (measured)
Step = tuple[str, float]  # a solver, and up to which share of the limit
ALONE: Final[tuple[Step, ...]] = (("branch", 1.0),)
ASKED: Final[tuple[Step, ...]] = (("branch", 3 / 4), ("milp", 7 / 8), ("smt", 1.0))


def guarded(solver: BallSolver, problem: BallProblem, opened: Opened) -> BallFinding:
    """What the solver finds; its crash is a finding."""
    try:
        return solver.solve(problem, opened)
    except RelrobError:
        raise
    except Exception as error:
        path = opened.network.path
        log.debug("solver %s on %s", solver.name, path, exc_info=True)
        log.warning(
            "solver %s stopped with an error on %s (%s)", solver.name, path, one_line(error)
        )
        return BallFinding(False, (), None, 0, solver.name, crash_reason(error))


def chained(solver: BallSolver, problem: BallProblem, opened: Opened) -> BallFinding:
    """What `solver` finds, and, where that is nothing because bounds are not tight enough, what
    others do."""
    begin, limit = time.perf_counter(), problem.budget.seconds
    found = guarded(solver, problem, opened)
    if found.stopped is not Reason.BOUNDS:
        return found
    for name, share in ASKED if _few(problem, opened) else ALONE:
        left = limit * share - (time.perf_counter() - begin)
        for other in _of(name, problem, opened) if left > 0 else ():
            next_one = guarded(other, replace(problem, budget=Budget(left)), opened)
            found = replace(
                next_one,
                margin=_least(found, next_one),
                evaluated=found.evaluated + next_one.evaluated,
            )
        if found.proved or found.proposals:
            break
    return found


def _of(name: str, problem: BallProblem, opened: Opened) -> list[BallSolver]:
    """The solvers of that name that take the network in such a ball."""
    made: list[BallSolver] = [
        registry.load(entry.target)() for entry in registry.solvers(False, name)
    ]
    return [
        solver for solver in made if solver.accepts(problem.ball.region, opened.network) is None
    ]


def _few(problem: BallProblem, opened: Opened) -> bool:
    """Do bounds leave few ReLUs open?"""
    enclosure, part = enclosure_of(opened.network), moves_of(problem.ball)
    if enclosure is None or part is None:
        return False
    try:
        return (
            survey(MovedBounds(BallBounds(enclosure, problem.ball, problem.label)), part).unstable
            <= FEW
        )
    except Exception:
        log.debug("bounds on %s", opened.network.path, exc_info=True)
        return False


def _least(*found: BallFinding) -> float | None:
    """The smallest margin met."""
    return min((each.margin for each in found if each.margin is not None), default=None)
