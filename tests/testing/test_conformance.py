"""Laws that every solver must obey (docs/soundness.md), on one table of instances for each back end
of the registry."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob import registry
from relrob.deciding.choose import solver_named
from relrob.deciding.decide import Decision, decide
from relrob.domain.network import Dense
from relrob.domain.region import Ladder
from relrob.domain.verdict import Reason, Status
from relrob.networks.evaluator import labels
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet, rung_set
from relrob_solvers.branch_ladder import Branch
from tests import hostile, naive
from tests.support import numpy_opened, random_dense, rounded

# the same solver with other settings, which instances as small as these need
DEEP = "branch, leaves of 2"
NAMES = [*(entry.method for entry in registry.solvers("ladder")), DEEP]
COMPLETE = [*(entry.method for entry in registry.solvers("ladder") if entry.complete), DEEP]
COUNTING = [name for name in COMPLETE if name not in ("smt", "milp")]  # these two give verdicts
SHAPE = (6, 6, 1)


@dataclass(frozen=True, eq=False)
class Instance:
    """A pair of networks and an image with its region."""

    name: str
    reference: Dense
    quantised: Dense
    image: NDArray[Any]
    ladder: Ladder

    @property
    def networks(self) -> tuple[Opened, Opened]:
        return numpy_opened(self.reference, self.image.shape), numpy_opened(
            self.quantised, self.image.shape
        )


def _random(seed: int, radius: str, step: str, bits: int) -> Instance:
    dense = random_dense(seed, (36, 14, 10, 3))
    image = np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)
    ladder = Ladder(Fraction(radius), Fraction(step), 8, 3)
    return Instance(
        f"random {seed} r={radius} d={step}", dense, rounded(dense, bits), image, ladder
    )


def _hostile(seed: int) -> Instance:
    image = hostile.image(seed)
    dense = hostile.network(seed)
    return Instance(f"hostile {seed}", dense, rounded(dense, 4), image, hostile.ladder(seed, image))


INSTANCES = [
    *(
        _random(seed, radius, step, 3 + seed % 3)
        for seed in range(5)
        for radius, step in (("2", "1/4"), ("6", "1/2"))
    ),
    *(_random(seed, "3", "1", 2) for seed in range(5, 8)),
    *(_random(seed, "1/2", "1/16", 6) for seed in range(8, 11)),
    *(_hostile(seed) for seed in range(1000, 1024)),
]


@dataclass(frozen=True, eq=False)
class Truth:
    """Every point of an instance: its mask and what each network says of it, one image at a
    time."""

    rungs: RungSet
    label: int
    points: list[naive.NaivePoint]
    wrong: tuple[NDArray[np.bool_], NDArray[np.bool_]]


@cache
def truth(number: int) -> Truth:
    instance = INSTANCES[number]
    ladder = instance.ladder
    points = list(
        naive.points(instance.image, ladder.radius, ladder.step, ladder.features or 0, ladder.axes)
    )
    with np.errstate(all="ignore"):
        said = [
            np.array([labels(opened.replayer.outputs(point.image[None, :]))[0] for point in points])
            for opened in instance.networks
        ]
    label = max(int(said[0][0]), 0)
    return Truth(
        rung_set(ladder, instance.image), label, points, (said[0] != label, said[1] != label)
    )


def solve(
    number: int,
    solver: Solver[RungSet],
    counts: bool,
    seconds: float = 60.0,
    ladder: Ladder | None = None,
) -> Decision:
    """One instance, on its own region or another one."""
    instance, known = INSTANCES[number], truth(number)
    rungs = known.rungs if ladder is None else rung_set(ladder, instance.image)
    with np.errstate(all="ignore"):
        return decide(
            Query(rungs, Label(known.label), instance.networks, Budget(seconds), counts), solver
        )


def made(name: str) -> Solver[RungSet]:
    """The solver of a name of the table."""
    return Branch(leaf=2) if name == DEEP else solver_named(name)


def accepted(number: int, name: str) -> Solver[RungSet]:
    """The solver, if it takes the instance."""
    solver, known = made(name), truth(number)
    networks = [opened.network for opened in INSTANCES[number].networks]
    refusal = solver.accepts(known.rungs.region, networks)
    if refusal is not None:
        pytest.skip(f"{name}: {refusal}")
    return solver


each_instance = pytest.mark.parametrize(
    "number", range(len(INSTANCES)), ids=[each.name for each in INSTANCES]
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("counts", [True, False])
@each_instance
def test_verdicts_are_true_and_witnesses_are_points(number: int, name: str, counts: bool) -> None:
    """1: never ROBUST where a point says otherwise, never a witness that the network gets right or
    that is no point; 2: a complete solver answers when its budget allows."""
    known = truth(number)
    decision = solve(number, accepted(number, name), counts)
    for which, verdict in enumerate(decision.verdicts):
        wrong = known.wrong[which]
        assert verdict.status is not (Status.ROBUST if wrong.any() else Status.NOT_ROBUST)
        assert name not in COMPLETE or verdict.status is not Status.UNKNOWN
        assert verdict.disagreements == 0
        if verdict.witness is not None:
            at = [
                place
                for place, point in enumerate(known.points)
                if point.moved == verdict.witness.moved
            ]
            assert wrong[at].all()
            assert np.array_equal(verdict.witness.image, known.points[at[0]].image)
            assert (
                verdict.witness.cost == known.points[at[0]].cost <= INSTANCES[number].ladder.radius
            )


@pytest.mark.parametrize("name", COUNTING)
@each_instance
def test_counts_are_exact(number: int, name: str) -> None:
    """Effective perturbations of each network, those of both, and the closest and farthest ones."""
    known = truth(number)
    decision = solve(number, accepted(number, name), counts=True)
    first, second = known.wrong
    assert [finding.effective for finding in decision.each] == [first.sum(), second.sum()]
    transfer = decision.transfer
    assert transfer is not None
    assert (transfer.all.effective, transfer.all.transferred) == (
        first.sum(),
        (first & second).sum(),
    )
    costs = np.array([point.cost for point in known.points], dtype=object)
    for share, edge in ((transfer.closest, min), (transfer.farthest, max)):
        at = first & (costs == edge(costs[first])) if first.any() else first
        assert (share.effective, share.transferred) == (at.sum(), (at & second).sum())


@pytest.mark.parametrize("name", COMPLETE)
@pytest.mark.parametrize("number", range(0, len(INSTANCES), 3))
def test_sub_regions_of_robust_regions_are_robust(number: int, name: str) -> None:
    """3: fewer features, a smaller radius; and a larger radius has at least as many effective
    points."""
    ladder = INSTANCES[number].ladder
    whole = solve(number, accepted(number, name), counts=True)
    assert ladder.features is not None
    smaller = [
        replace(ladder, radius=ladder.radius * part) for part in (Fraction(1, 3), Fraction(2, 3))
    ]
    smaller += [replace(ladder, features=ladder.features - 1)]
    for less in smaller:
        inner = solve(number, made(name), counts=True, ladder=less)
        for within, around in zip(inner.each, whole.each, strict=True):
            if name in COUNTING:
                assert within.effective is not None
                assert around.effective is not None
                assert within.effective <= around.effective
            assert within.proved or not around.proved


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", range(0, len(INSTANCES), 4))
def test_no_time_is_unknown_for_its_reason_and_never_a_proof_of_what_is_false(
    number: int, name: str
) -> None:
    """2: UNKNOWN names its reason. What was proved in no time must be true all the same."""
    known = truth(number)
    for counts in (True, False):
        decision = solve(number, accepted(number, name), counts, seconds=1e-9)
        for verdict, wrong in zip(decision.verdicts, known.wrong, strict=True):
            if verdict.status is Status.UNKNOWN:
                assert verdict.reason in (
                    (Reason.TIME,) if name in COMPLETE else (Reason.TIME, Reason.BOUNDS)
                )
            else:
                assert (verdict.status is Status.NOT_ROBUST) == wrong.any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", range(0, len(INSTANCES), 5))
def test_the_same_question_has_the_same_answer(number: int, name: str) -> None:
    """Verdicts, margins, counts and witnesses, twice."""
    answers = []
    for _ in range(2):
        decision = solve(number, accepted(number, name), counts=True)
        answers.append(
            [
                (
                    verdict.status,
                    verdict.margin,
                    finding.effective,
                    finding.evaluated,
                    finding.close_calls,
                )
                + (
                    (verdict.witness.moved, verdict.witness.image.tobytes())
                    if verdict.witness
                    else ()
                )
                for verdict, finding in zip(decision.verdicts, decision.each, strict=True)
            ]
        )
    assert answers[0] == answers[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", range(0, len(INSTANCES), 5))
def test_one_network_alone_is_decided_as_in_a_pair(number: int, name: str) -> None:
    known, pair = truth(number), solve(number, accepted(number, name), counts=True)
    for which, opened in enumerate(INSTANCES[number].networks):
        problem = Query(known.rungs, Label(known.label), (opened,), Budget(600), True)
        with np.errstate(all="ignore"):
            alone = decide(problem, made(name))
        assert alone.verdicts[0].status is pair.verdicts[which].status
        assert alone.each[0].effective == pair.each[which].effective
        assert alone.transfer is None


def test_the_table_has_all_kinds_of_instances() -> None:
    """Robust, not robust, some of each; misclassified nowhere else than by the second network."""
    kinds = {
        (bool(known.wrong[0].any()), bool(known.wrong[1].any()))
        for known in map(truth, range(len(INSTANCES)))
    }
    assert kinds == {(a, b) for a in (True, False) for b in (True, False)}
    assert max(len(truth(number).points) for number in range(len(INSTANCES))) > 150
