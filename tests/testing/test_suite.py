"""The public conformance suite: our solvers pass it, solvers with planted bugs do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from relrob.deciding.choose import solver_named
from relrob.domain.network import Network
from relrob.domain.region import Region
from relrob.domain.verdict import Reason
from relrob.errors import UsageError
from relrob.networks.evaluator import labels
from relrob.queries.findings import Findings
from relrob.queries.query import Query
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet
from relrob.testing import (
    bound_complaints,
    complaints,
    order_complaints,
    quantised_files,
    random_case,
    truth,
)
from relrob.testing.__main__ import main
from relrob.testing.asked import asked
from relrob.testing.rounds import Setting, ladder_round
from relrob_solvers.branch_ladder import Branch
from relrob_solvers.enumerate_ladder import Enumerate
from tests import naive

NUMBERS = range(50)


@pytest.mark.parametrize("name", ["auto", "branch", "bounds", "enumerate", "smt", "milp"])
def test_our_solvers_pass(name: str) -> None:
    solver = solver_named(name)
    for number in range(12) if name in ("smt", "milp") else NUMBERS:
        case = random_case(7, number)
        known = truth(case.problem)
        assert not [
            *complaints(solver, case, known, number % 2 == 0),
            *order_complaints(solver, case),
        ]


def test_bounds_pass() -> None:
    for number in NUMBERS:
        case = random_case(8, number)
        assert not [
            each for opened in case.problem.networks for each in bound_complaints(opened, case)
        ]


def test_quantised_files_pass(tmp_path: Path) -> None:
    files = quantised_files(tmp_path, kinds=(("dynamic", "xnnpack"), ("int8", "builtin")))
    kinds: Counter[str] = Counter()
    setting = Setting(3, asked(), tmp_path, files)
    for number in range(5, 5 + 6 * 10, 6):
        outcome = ladder_round(setting, number, setting.asked.ladders)
        assert not outcome.told
        kinds[outcome.kind] += 1
    assert {kind.split()[0] for kind in kinds} == {"file"}
    assert len(kinds) > 1


def test_truth_is_that_of_the_naive_referee() -> None:
    for number in range(20):
        case = random_case(9, number)
        ladder, known = case.ladder, truth(case.problem)
        points = list(
            naive.points(case.image, ladder.radius, ladder.step, ladder.features or 0, ladder.axes)
        )
        ours = {
            tuple(int(g) for g in np.flatnonzero(mask)): n for n, mask in enumerate(known.masks)
        }
        assert {point.moved for point in points} == set(ours)
        for point in points:
            at = ours[point.moved]
            for said, opened in zip(known.said, case.problem.networks, strict=True):
                assert said[at] == labels(opened.replayer.outputs(point.image[None, :]))[0]


def test_cases_are_of_all_kinds_and_come_again() -> None:
    found: Counter[tuple[str, bool]] = Counter()
    for number in range(100):
        case, again = random_case(11, number), random_case(11, number)
        assert np.array_equal(case.image, again.image) and case.ladder == again.ladder
        known = truth(case.problem)
        found.update((case.name, bool(known.wrong(n).any())) for n in range(2))
    assert set(found) == {
        (kind, fooled)
        for kind in ("plain", "edge", "ties", "hostile", "clipped")
        for fooled in (True, False)
    }
    case = random_case(11, 0)
    many = replace(case.ladder, features=None, axes=2, radius=case.ladder.radius * 9)
    with pytest.raises(UsageError, match="at most"):
        truth(case.on(many))


@dataclass(frozen=True)
class Faulty:
    """Enumeration with a planted bug: `bug` spoils what it finds."""

    bug: Callable[[Query[RungSet], Findings], Findings]
    name: str = "faulty"
    complete: bool = True

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return None

    def solve(self, query: Query[RungSet]) -> Findings:
        return self.bug(query, Enumerate().solve(query))


def each_finding(findings: Findings, **changes: object) -> Findings:
    changed = tuple(replace(each, **changes) for each in findings.each)  # type: ignore[arg-type]
    return replace(findings, each=changed)


def ties_ignored(problem: Query[RungSet], findings: Findings) -> Findings:
    """A margin of 0 counts as right: what a bound that forgets ties would say."""
    each = [
        replace(one, proved=True, proposals=()) if one.margin == 0 else one for one in findings.each
    ]
    return replace(findings, each=tuple(each))


def off_by_one(problem: Query[RungSet], findings: Findings) -> Findings:
    """The points whose cost is the radius are forgotten."""
    return Enumerate().solve(
        replace(problem, points=replace(problem.points, budget=problem.points.budget - 1))
    )


def swapped(problem: Query[RungSet], findings: Findings) -> Findings:
    """Reference and quantised network exchanged."""
    return replace(findings, each=findings.each[::-1])


def always_robust(problem: Query[RungSet], findings: Findings) -> Findings:
    return each_finding(findings, proved=True, effective=0, proposals=(), stopped=None)


def always_fooled(problem: Query[RungSet], findings: Findings) -> Findings:
    return each_finding(
        findings, proved=False, proposals=(np.zeros(problem.points.features, dtype=np.bool_),)
    )


def lazy(problem: Query[RungSet], findings: Findings) -> Findings:
    return each_finding(findings, proved=False, proposals=(), stopped=Reason.TIME)


def miscounting(problem: Query[RungSet], findings: Findings) -> Findings:
    return replace(
        findings,
        each=tuple(replace(one, effective=(one.effective or 0) + 1) for one in findings.each),
    )


@pytest.mark.parametrize(
    "bug", [ties_ignored, off_by_one, swapped, always_robust, always_fooled, lazy, miscounting]
)
def test_planted_bugs_are_noticed(
    bug: Callable[[Query[RungSet], Findings], Findings], caplog: pytest.LogCaptureFixture
) -> None:
    faulty: Solver[RungSet] = Faulty(bug)
    told = []
    for number in range(150):
        case = random_case(12, number)
        told += list(complaints(faulty, case, truth(case.problem)))
    assert told


def test_an_unfaulty_one_is_not() -> None:
    fine: Solver[RungSet] = Faulty(lambda problem, findings: findings)
    for number in range(30):
        case = random_case(12, number)
        assert not [*complaints(fine, case, truth(case.problem)), *order_complaints(fine, case)]


def test_an_order_that_is_not_kept_is_noticed() -> None:
    """ROBUST on the whole ladder only."""

    def whole_only(problem: Query[RungSet], findings: Findings) -> Findings:
        return (
            each_finding(findings, proved=True, proposals=())
            if problem.points.region == case.ladder
            else findings
        )

    told = []
    for number in range(150):
        case = random_case(12, number)
        told += list(order_complaints(Faulty(whole_only), case))
    assert told


def test_a_crash_of_a_solver_that_may_give_up_is_noticed() -> None:
    def crash(problem: Query[RungSet], findings: Findings) -> Findings:
        raise ZeroDivisionError("planted")

    case = random_case(12, 0)
    assert any(
        "UNKNOWN" in each
        for each in complaints(Faulty(crash, complete=False), case, truth(case.problem))
    )
    late: Solver[RungSet] = Faulty(lazy, complete=False)
    assert not list(complaints(late, case, truth(case.problem)))


def test_the_program_reports_and_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (
        main(["--cases", "10", "--seed", "2", "--no-files", "--solvers", "enumerate,Bounds"]) == 0
    )
    said = capsys.readouterr().out
    assert (
        "2 of 2 solver classes answered (Bounds, Enumerate)" in said
        and "seed 2: 10 cases, " in said
    )
    assert (
        main(
            [
                "--cases",
                "24",
                "--seed",
                "2",
                "--no-files",
                "--rotate",
                "--solvers",
                "auto,branch,bounds",
            ]
        )
        == 0
    )
    assert "0 contradictions" in capsys.readouterr().out
    monkeypatch.setattr(
        Branch, "solve", lambda self, problem: always_robust(problem, Enumerate().solve(problem))
    )
    assert main(["--cases", "30", "--seed", "2", "--no-files", "--solvers", "Branch"]) == 1
    assert "ROBUST, and" in capsys.readouterr().out
