"""One round of the suite: a case, a ladder or a ball by its number, before the solvers in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from relrob.domain.arrays import Bools
from relrob.networks.open import Opened
from relrob.queries.solver import Solver
from relrob.regions.ball import BallSet
from relrob.regions.ladder import RungSet
from relrob.testing.asked import Asked
from relrob.testing.ball_suite import (
    ball_bound_complaints,
    ball_complaints,
    ball_order_complaints,
    ball_record_complaints,
    takes,
)
from relrob.testing.balls import ball_over_reals, random_ball_case
from relrob.testing.cases import over_reals, random_case
from relrob.testing.suite import bound_complaints, complaints, order_complaints, truth

Taken = TypeVar("Taken")
# Of so many balls one is classified as an image of a run is.
RECORDS: Final = 5
ORDERS: Final = 10
BOUNDS: Final = 7


@dataclass(frozen=True, eq=False)
class Setting:
    """The settings that all cases share.

    `large`, `small`: quantised files of 36 and of 4 inputs. `rotate`: a case is for the first
    solver and one of the others, in turn. `real`: float networks over the reals.
    """

    seed: int
    asked: Asked
    folder: Path
    large: Sequence[Opened] = ()
    small: Sequence[Opened] = ()
    rotate: bool = False
    real: bool = False


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of a case.

    `kind`: of the case, with the networks that are wrong somewhere. `told`: the complaints.
    `answers`: verdicts by status, of each solver.
    """

    kind: str
    told: list[str] = field(default_factory=list)
    answers: dict[str, Counter[str]] = field(default_factory=dict)


def in_turn(names: Mapping[str, Taken], turn: int) -> dict[str, Taken]:
    """The first solver, and one of the others."""
    first, *others = names
    chosen = [first, *others[turn % len(others) :][:1]] if others else [first]
    return {name: names[name] for name in chosen}


def ladder_round(setting: Setting, number: int, solvers: Mapping[str, Solver[RungSet]]) -> Outcome:
    """Ladder `number`."""
    case = random_case(setting.seed, number, setting.large)
    case = over_reals(case) if setting.real else case
    known = truth(case.problem)
    wrong = [known.wrong(which) for which in range(len(known.said))]
    outcome = Outcome(f"{case.name} {_shown(wrong)}")
    turn = in_turn(solvers, number // 6) if setting.rotate else solvers
    for name, solver in turn.items():
        answers = outcome.answers[name] = Counter[str]()
        told = [*complaints(solver, case, known, number // 36 % 2 == 0, answers)]
        told += order_complaints(solver, case) if number % ORDERS == 0 else []
        outcome.told.extend(f"{name}: {each}" for each in told)
    for which, opened in enumerate(case.problem.networks if number % BOUNDS == 0 else ()):
        outcome.told.extend(
            f"bounds of network {which}: {each}" for each in bound_complaints(opened, case)
        )
    return outcome


def ball_round(
    setting: Setting, number: int, solvers: Mapping[str, Solver[BallSet] | None]
) -> Outcome:
    """Ball or lattice `number`, before those of the solvers that take it."""
    case = random_ball_case(setting.seed, number, setting.folder, [*setting.small, *setting.large])
    case = ball_over_reals(case) if setting.real else case
    outcome = Outcome(
        f"{case.name} {_shown([case.wrong(which) for which in range(len(case.said))])}"
    )
    able = {name: solver for name, solver in solvers.items() if takes(solver, case)}
    turn = in_turn(able, number // 8) if setting.rotate and able else able
    for name, solver in turn.items():
        answers = outcome.answers[name] = Counter[str]()
        told = [*ball_complaints(solver, case, answers)]
        told += ball_order_complaints(solver, case) if number % ORDERS == 0 else []
        outcome.told.extend(f"{name}: {each}" for each in told)
    for which, opened in enumerate(case.problem.networks if number % BOUNDS == 0 else ()):
        outcome.told.extend(
            f"bounds of network {which}: {each}" for each in ball_bound_complaints(opened, case)
        )
    if number % RECORDS == 0 and "auto" in able:
        outcome.told.extend(ball_record_complaints(case, number))
    return outcome


def _shown(wrong: list[Bools]) -> str:
    """x for a network that is wrong somewhere, - for one that is right at every point."""
    return "".join("x" if each.any() else "-" for each in wrong)
