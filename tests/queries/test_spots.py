"""Spot checks: which points they run, what they compare, and that planted bugs in bounds and
enclosures sound the alarm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import log
from typing import Any

import numpy as np
import pytest

from relrob.bounding import certain
from relrob.bounding.certain import CertainLabels, Settled
from relrob.bounding.ladder import LadderBounds
from relrob.bounding.linear import Margins
from relrob.deciding.decide import decide
from relrob.domain.arrays import Doubles, Floats
from relrob.domain.region import Ball, Lattice, Norm
from relrob.domain.verdict import Status
from relrob.errors import AlarmError
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import margins
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.queries.spots import BLOCK, PARTS, Spots
from relrob.regions.ball import ball_set
from relrob.regions.ladder import RungSet
from relrob.regions.part import Part, part_of, whole
from relrob_solvers.bounds_ball import Around
from relrob_solvers.bounds_ladder import Bounds
from relrob_solvers.branch_ball import Phases
from relrob_solvers.branch_ladder import Branch
from relrob_solvers.milp_ladder import Milp
from relrob_solvers.smt_ladder import Smt
from tests.instances import SHAPE, levels, random_problem, rungs_of
from tests.support import numpy_opened, random_dense


class Noting:
    """A runtime that keeps what it is shown."""

    runtime, best_batch = "numpy", 1

    def __init__(
        self, inner: Any, shift: Callable[[Floats], Floats] = lambda outputs: outputs
    ) -> None:
        self.inner, self.shift = inner, shift
        self.seen: list[Floats] = []

    def outputs(self, images: Floats) -> Floats:
        self.seen.append(images.copy())
        return self.shift(self.inner.outputs(images))


def noting(
    opened: Opened, shift: Callable[[Floats], Floats] = lambda outputs: outputs
) -> tuple[Opened, Noting]:
    watch = Noting(opened.replayer, shift)
    return replace(opened, replayer=watch), watch


def easy(seed: int = 0) -> tuple[Opened, Query[RungSet]]:
    """A network that is right on all of its ladder."""
    for number in range(seed, 400):
        problem = replace(random_problem(number), counts=False)
        problem = replace(problem, networks=problem.networks[:1], spots=Spots(17))
        if decide(problem, Branch(1)).verdicts[0].status is Status.ROBUST:
            return problem.networks[0], replace(problem, spots=Spots(17))
    raise AssertionError("no robust problem")


def settled_of(opened: Opened, problem: Query[RungSet], part: Part) -> Settled:
    enclosure = enclosure_of(opened.network)
    assert enclosure is not None
    return CertainLabels(enclosure, problem.points, problem.label).settle(part)


def parts_of(problem: Query[RungSet], depth: int) -> list[Part]:
    """All parts at a depth of splits."""
    parts = [whole(problem.points)]
    for _ in range(depth):
        parts = [
            half for part in parts for half in (part.split(part.free[0]) if part.free else (part,))
        ]
    return parts


def test_both_points_lie_in_the_part() -> None:
    opened, problem = easy()
    watched, watch = noting(opened)
    for part in parts_of(problem, 3):
        spots = Spots(1)
        spots.of(watched).part(
            part, problem.label, None, np.linspace(-1, 1, problem.points.features)
        )
        spots.finish()
        assert spots.run == 2
        inside = {
            image.tobytes() for masks in part.blocks(64) for image in problem.points.images(masks)
        }
        assert all(image.tobytes() in inside for image in watch.seen[-1])


def test_the_corner_is_where_a_linear_network_is_worst() -> None:
    """One layer: the bound is exact but for rounding, and so is the margin at its corner where the
    costs are alike."""
    tried = 0
    for seed in range(30):
        opened = numpy_opened(random_dense(seed, (36, 3)), SHAPE)
        rungs = rungs_of(seed, ("3", "1"))
        label = int(opened.evaluator.outputs(rungs.base[None, :]).argmax())
        problem = Query(rungs, Label(label), (opened,), Budget(600), False)
        settled = settled_of(opened, problem, whole(rungs))
        if settled.label is None or len(set(rungs.costs)) > 1 or rungs.budget % rungs.costs[0]:
            rungs = rungs_of(seed, ("36", "1"))  # every feature fits
            problem = replace(problem, points=rungs)
            settled = settled_of(opened, problem, whole(rungs))
        if settled.label != label:
            continue
        watched, watch = noting(opened)
        spots = Spots()
        spots.of(watched).part(whole(rungs), label, settled.least, settled.gains)
        spots.finish()
        every = opened.evaluator.outputs(rungs.images(next(whole(rungs).blocks(1 << 12))))
        found = margins(opened.evaluator.outputs(watch.seen[-1][:1]), label)[0]
        assert found == pytest.approx(margins(every, label).min(), abs=1e-4)
        tried += 1
    assert tried > 2


def test_many_parts_are_sampled_by_the_documented_rule() -> None:
    opened, problem = easy()
    watched, watch = noting(opened)
    whole_ = whole(problem.points)

    def checked(image: int, count: int) -> tuple[int, list[Floats]]:
        watch.seen.clear()
        spots = Spots(image)
        for number in range(count):
            part = replace(whole_, path=(number + 1,))
            spots.of(watched).part(part, problem.label, None, np.zeros(problem.points.features))
        spots.finish()
        return spots.run, list(watch.seen)

    assert checked(1, PARTS)[0] == 2 * PARTS
    expected = 2 * PARTS * (1 + log(4000 / PARTS))
    assert 0.8 * expected < checked(1, 4000)[0] < 1.25 * expected
    one, again, other = (np.concatenate(checked(image, 500)[1]) for image in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one[1 : 2 * PARTS : 2], other[1 : 2 * PARTS : 2])
    assert max(map(len, watch.seen)) <= BLOCK


def test_a_wrong_label_and_a_small_margin_sound_the_alarm() -> None:
    opened, problem = easy()
    part, label = whole(problem.points), problem.label
    settled = settled_of(opened, problem, part)
    if settled.label is None:
        part = part_of(problem.points, (), (), 0)
        settled = settled_of(opened, problem, part)
    assert settled.label == label
    named = replace(opened, role="quantised")
    for said, least, words in (
        (label, settled.least, ""),
        (
            (label + 1) % 3,
            None,
            f"image 17: the quantised network gives {label} at a point that bounds proved",
        ),
        (label, settled.least + 100, f"image 17: the quantised network gives {label} a margin of"),
    ):
        spots = Spots(17)
        spots.of(named).part(part, said, least, settled.gains)
        if words:
            with pytest.raises(AlarmError, match=words) as caught:
                spots.finish()
            assert str(caught.value).endswith(
                "nothing is pronounced; please report this with the two files"
            )
            assert caught.value.exit_code == 4
            assert "\n" not in str(caught.value)
            assert spots.run == 0
        else:
            spots.finish()
            assert spots.run == 2


@pytest.mark.parametrize(
    "solver", [Branch(1), Bounds(), Milp(), Smt()], ids=lambda solver: str(solver.name)
)
def test_every_ladder_solver_is_checked(solver: Solver[RungSet]) -> None:
    checked = alarms = 0
    for seed in range(12):
        problem = random_problem(seed)
        decide(problem, solver)
        checked += problem.spots.run
        lying = [noting(opened, lambda outputs: -outputs)[0] for opened in problem.networks]
        again = replace(problem, networks=tuple(lying), spots=Spots(seed))
        if problem.spots.run:
            with pytest.raises(AlarmError):
                decide(again, solver)
            alarms += 1
    assert checked
    assert alarms > 2


def test_enumeration_has_nothing_to_check() -> None:
    problem = random_problem(3)
    decide(problem, Branch(10**9))  # every part is run
    assert problem.spots.run == 0


@pytest.mark.parametrize("solver", ["bounds", "branch", "milp", "smt"])
@pytest.mark.parametrize(
    "region", [Ball(Norm.LINF, Fraction(1, 1000)), Lattice(Fraction(1, 64), Fraction(1, 128))]
)
def test_every_ball_solver_is_checked(solver: str, region: Ball | Lattice) -> None:
    if isinstance(region, Lattice) and solver in ("milp", "smt"):
        region = Ball(Norm.L1, Fraction(1, 50))
    ball = ball_set(region, levels(2))
    opened = numpy_opened(random_dense(2, (36, 12, 3)), SHAPE)
    label = int(opened.evaluator.outputs(ball.base[None, :]).argmax())
    watched, watch = noting(opened)
    problem = Query(ball, Label(label), (watched,), Budget(600), spots=Spots(5))
    decision = decide(problem, solver)
    assert decision.verdicts[0].status is Status.ROBUST
    assert problem.spots.run >= 2
    checked = watch.seen[-2 if len(watch.seen[-1]) == 1 else -1]
    assert len(checked) == problem.spots.run
    assert all(ball.contains(image) for image in checked)


def test_a_ball_solver_that_proves_what_is_wrong_sounds_the_alarm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ball = ball_set(Ball(Norm.LINF, Fraction(1, 4)), levels(2))
    opened = numpy_opened(random_dense(2, (36, 12, 3)), SHAPE)
    label = int(opened.evaluator.outputs(ball.base[None, :]).argmax())
    monkeypatch.setattr("relrob.attacks.frank_wolfe.seek", lambda *_: (None, 1.0, 0))
    for module, solver in (("bounds_ball", Around()), ("branch_ball", Phases())):
        monkeypatch.setattr(f"relrob_solvers.{module}.proves", lambda *_: True)
        with pytest.raises(AlarmError, match="proved"):
            decide(Query(ball, Label(label), (opened,), Budget(600)), solver.name)


def test_a_bound_of_the_wrong_sign_sounds_the_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted bug: the lower bound of the margins is what bounds them from above."""
    real = LadderBounds.margins

    def turned(
        self: LadderBounds, part: Part, alphas: tuple[Doubles, ...] | None = None
    ) -> Margins:
        found = real(self, part, alphas)
        return replace(found, low=found.high, high=found.low)

    honest = sum(_alarms(seed) for seed in range(20))
    monkeypatch.setattr(LadderBounds, "margins", turned)
    assert honest == 0
    assert sum(_alarms(seed) for seed in range(20)) > 10


def test_bounds_that_always_prove_sound_the_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certain, "proves", lambda *_: True)
    assert sum(_alarms(seed, counts=True) for seed in range(20)) > 5


def _alarms(seed: int, counts: bool = False) -> bool:
    """Does deciding a random problem end in an alarm?"""
    try:
        decide(replace(random_problem(seed), counts=counts), Branch(1))
    except AlarmError:
        return True
    return False
