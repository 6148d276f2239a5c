"""Solvers of balls with planted bugs, and false bounds and records: the suite notices them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from relrob.bounding.ball import BallBounds
from relrob.deciding import replay as door
from relrob.deciding.decide import decide
from relrob.domain.arrays import Proposal
from relrob.domain.network import Network
from relrob.domain.region import Ball, Lattice, Norm, Region
from relrob.domain.verdict import Reason, Witness
from relrob.errors import UsageError
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings, alone
from relrob.queries.properties import Label
from relrob.queries.query import Query
from relrob.queries.solver import Solver
from relrob.regions.ball import BallSet
from relrob.regions.points import Points
from relrob.testing.__main__ import main
from relrob.testing.asked import asked
from relrob.testing.ball_suite import (
    ball_bound_complaints,
    ball_complaints,
    ball_order_complaints,
    ball_record_complaints,
    takes,
)
from relrob.testing.balls import BallCase, random_ball_case
from relrob.testing.fixed import labels_of, lively_network
from relrob.testing.questions import measured
from relrob_solvers.bounds_ball import Around

REGIONS = ("linf", "l1", "l2", "l0", "lattice")


@dataclass(frozen=True)
class Faulty:
    """A solver with a planted bug, for one kind of region: it knows the points of the case that it
    is asked about."""

    case: BallCase
    act: Callable[[BallCase, int], Finding]
    name: str = "faulty"
    complete: bool = False

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return None

    def solve(self, query: Query[BallSet]) -> Findings:
        """One network: balls ask about each by itself."""
        (opened,) = query.networks
        number = self.case.problem.networks.index(opened)
        return alone((self.act(replace(self.case, problem=query), number),))


def proved(case: BallCase, number: int) -> Finding:
    return Finding(True, (), 1.0, 1, "faulty")


def proposing(image: np.ndarray) -> Finding:
    return Finding(False, (image.astype(np.float32),), 0.0, 1, "faulty")


def truthful(case: BallCase, number: int) -> Finding:
    at = np.flatnonzero(case.wrong(number))
    return proposing(case.question.points[at[0]]) if len(at) else proved(case, number)


def always_robust(case: BallCase, number: int) -> Finding:
    return proved(case, number)


def misses_the_last_point(case: BallCase, number: int) -> Finding:
    """The points that are furthest away are forgotten: off by one at the radius."""
    points = case.question.points
    base, norm = (
        points[0],
        Norm.L1
        if isinstance(case.problem.points.region, Lattice)
        else case.problem.points.region.norm,
    )
    far = [measured(point, base, norm) for point in points]
    at = [n for n in np.flatnonzero(case.wrong(number)) if far[n] < max(far)]
    return proposing(points[at[0]]) if at else proved(case, number)


def no_point_of_the_region(case: BallCase, number: int) -> Finding:
    """Every pixel turned over."""
    return proposing(np.where(case.question.points[0] > 0.5, np.float32(0), np.float32(1)))


def a_witness_that_is_right(case: BallCase, number: int) -> Finding:
    right = np.flatnonzero(~case.wrong(number))
    return proposing(case.question.points[right[0]]) if len(right) else truthful(case, number)


def lazy(case: BallCase, number: int) -> Finding:
    return Finding(False, (), None, 0, "faulty", Reason.TIME)


def crashing(case: BallCase, number: int) -> Finding:
    raise ZeroDivisionError("planted")


def told_of(
    case: BallCase, act: Callable[[BallCase, int], Finding], complete: bool = False
) -> list[str]:
    solver: Solver[BallSet] = Faulty(case, act, complete=complete)
    return list(ball_complaints(solver, case))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[BallCase]:
    folder = tmp_path_factory.mktemp("cases")
    found = []
    for number in range(210):
        folder.joinpath(str(number)).mkdir()
        found.append(random_ball_case(12, number, folder / str(number)))
    return found


def test_an_unfaulty_one_is_not_blamed(drawn: list[BallCase]) -> None:
    for case in drawn:
        if case.settled and case.problem.label == max(int(case.said[0][0]), 0):
            assert not told_of(case, truthful, complete=True)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    "act",
    [always_robust, no_point_of_the_region, a_witness_that_is_right, lazy, misses_the_last_point],
)
def test_planted_bugs_are_noticed_in_every_region(
    region: str, act: Callable[[BallCase, int], Finding], drawn: list[BallCase]
) -> None:
    told = [
        each
        for case in drawn
        if case.problem.points.region.kind == region
        for each in told_of(case, act, True)
    ]
    assert told
    if act is always_robust:
        assert any("points are wrong" in each for each in told)
    if act is no_point_of_the_region:
        assert any("outside the region" in each for each in told)


@pytest.mark.parametrize("act", [always_robust, misses_the_last_point])
def test_planted_bugs_are_noticed_on_fixed_point(
    act: Callable[[BallCase, int], Finding], drawn: list[BallCase]
) -> None:
    fixed = [case for case in drawn if case.name.startswith("fixed")]
    assert {case.problem.points.region.kind for case in fixed if told_of(case, act)} >= {
        "linf",
        "l1",
    }


def test_a_crash_is_noticed_of_a_solver_that_may_give_up(drawn: list[BallCase]) -> None:
    assert any("UNKNOWN" in each for each in told_of(drawn[0], crashing))
    assert not told_of(drawn[0], lazy)


def test_a_witness_outside_is_noticed_where_the_door_would_let_it_pass(
    drawn: list[BallCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The suite knows the region by itself."""
    monkeypatch.setattr("relrob.regions.ball.BallSet.contains", lambda self, image: True)
    for region in REGIONS:
        some = [case for case in drawn if case.problem.points.region.kind == region]
        told = [each for case in some for each in told_of(case, no_point_of_the_region)]
        assert any("no point of the region" in each for each in told), region


def test_a_label_that_the_door_gets_wrong_is_noticed(
    drawn: list[BallCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replay that always says that a proposal is wrong."""
    replay = door.replay

    def spoilt(
        opened: Opened, points: Points, wanted: Label, proposal: Proposal
    ) -> tuple[float, Witness | None]:
        margin, _ = replay(opened, points, wanted, proposal)
        image = points.at(proposal)
        said = int(labels(opened.replayer.outputs(image[None, :]))[0])
        return margin, Witness(image, (), points.cost(proposal), said, -1.0)

    monkeypatch.setattr(door, "replay", spoilt)
    told = [each for case in drawn[:40] for each in told_of(case, a_witness_that_is_right)]
    assert any("the witness is right" in each for each in told)


def test_an_order_that_is_not_kept_is_noticed(drawn: list[BallCase]) -> None:
    """ROBUST in the whole region only."""
    told = []
    for case in drawn:
        region = case.problem.points.region

        def whole_only(asked_of: BallCase, number: int, region: Ball | Lattice = region) -> Finding:
            return (
                proved(asked_of, number)
                if asked_of.problem.points.region == region
                else truthful(asked_of, number)
            )

        told += list(ball_order_complaints(Faulty(case, whole_only), case))
    assert any("in a part of it" in each for each in told)


def test_bounds_that_are_too_tight_are_noticed(
    drawn: list[BallCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the region, and of its margin that was proved."""
    assert not [
        each
        for case in drawn[:40]
        for opened in case.problem.networks
        for each in ball_bound_complaints(opened, case)
    ]
    margins = BallBounds.margins

    def tighter(self: BallBounds, *given: object) -> object:
        found = margins(self, *given)  # type: ignore[arg-type]
        return replace(found, low=found.low + 0.3 * (found.high - found.low))

    monkeypatch.setattr("relrob.bounding.ball.BallBounds.margins", tighter)
    told = [
        each
        for case in drawn
        for opened in case.problem.networks
        for each in ball_bound_complaints(opened, case)
    ]
    assert any("outside the bounds" in each for each in told)
    assert any("optimised bounds" in each for each in told)
    monkeypatch.undo()
    case = next(each for each in drawn if each.name.startswith("steps") and not each.wrong(0).any())
    boast = Finding(True, (), 1.0, 1, "faulty", least=1e6)
    monkeypatch.setattr("relrob.queries.spots.NetworkSpots.ball", lambda *given, **also: None)
    assert any("which was proved" in each for each in told_of(case, lambda *_: boast))


def test_records_that_are_false_are_noticed(
    drawn: list[BallCase], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for case in drawn:
        solver: Solver[BallSet] = Faulty(case, always_robust)
        monkeypatch.setattr(
            "relrob.relative.classify.decide", lambda query, _, by=solver: decide(query, by)
        )
        told += list(ball_record_complaints(case, 0))
    assert any("ROBUST, and" in each for each in told)


def test_the_program_reports_and_fails(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["--cases", "120", "--seed", "3", "--no-files", "--rotate"]) == 0
    said = capsys.readouterr().out
    assert (
        "13 of 13 solver classes answered" in said
        and "balls, 60 cases" in said
        and "ladders, 60 cases" in said
    )
    assert (
        main(["--cases", "14", "--seed", "2", "--no-files", "--real", "--solvers", "auto,Around"])
        == 0
    )
    assert "2 of 2 solver classes answered (auto, Around)" in capsys.readouterr().out
    assert main(["--cases", "1", "--seed", "2", "--no-files", "--solvers", "smt"]) == 0
    assert "not asked: Integer, Reals" in capsys.readouterr().out
    monkeypatch.setattr(
        Around, "solve", lambda self, query: alone((Finding(True, (), 1.0, 0, "bounds"),))
    )
    assert main(["--cases", "30", "--seed", "2", "--no-files", "--solvers", "Around"]) == 1
    assert "ROBUST, and" in capsys.readouterr().out


def test_solvers_that_take_no_network_are_not_asked(drawn: list[BallCase]) -> None:
    integer = asked(["Integer"]).balls["Integer"]
    taken = [case for case in drawn if takes(integer, case)]
    assert {case.name for case in taken} == {"fixed linf"}
    case = next(case for case in drawn if case.name.startswith("wide"))
    assert not list(ball_complaints(integer, case))
    with pytest.raises(UsageError, match="it takes fixed-point networks only"):
        decide(case.problem, integer or Around())


def test_labels_of_codes_are_those_of_the_network() -> None:
    for seed in range(20):
        network = lively_network(seed)
        images = np.random.default_rng(seed).random((50, network.inputs), dtype=np.float32)
        assert np.array_equal(labels_of(network, images), labels(network.outputs(images)))
