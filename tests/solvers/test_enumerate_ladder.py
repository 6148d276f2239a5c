"""The enumeration solver against the naive referee, and what it does when time runs out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.deciding.choose import solver_named
from relrob.deciding.decide import decide
from relrob.domain.arrays import Floats
from relrob.domain.network import Dense
from relrob.domain.region import Ladder
from relrob.domain.verdict import Reason, Status
from relrob.networks.open import Opened
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet, rung_set
from relrob_solvers.branch_ladder import Branch
from relrob_solvers.enumerate_ladder import Enumerate
from tests import naive
from tests.support import NumpyEvaluator, numpy_opened, random_dense, rounded

SHAPE = (6, 6, 1)


def problem(
    one: Dense, two: Dense, rungs: RungSet, label: int, counts: bool, seconds: float = 600
) -> Query[RungSet]:
    networks = (numpy_opened(one, SHAPE), numpy_opened(two, SHAPE, black_box=True))
    return Query(rungs, Label(label), networks, Budget(seconds), counts)


@settings(max_examples=50)
@given(
    st.integers(0, 10**6),
    st.sampled_from([("2", "1/4"), ("4", "1/2"), ("3", "1")]),
    st.integers(2, 8),
)
def test_verdicts_and_counts_agree_with_the_naive_referee(
    seed: int, region: tuple[str, str], bits: int
) -> None:
    image = np.random.default_rng(seed).integers(0, 256, size=(6, 6), dtype=np.uint8)
    one = random_dense(seed, (36, 12, 10, 3))
    two = rounded(one, bits)
    radius, step = Fraction(region[0]), Fraction(region[1])
    rungs = rung_set(Ladder(radius, step, 7, 3), image)
    runs = [NumpyEvaluator(one), NumpyEvaluator(two)]
    label = int(runs[0].outputs(rungs.base[None, :]).argmax())
    said = []
    points = list(naive.points(image, radius, step, 7, axes=3))
    for run in runs:
        said.append([int(run.outputs(point.image[None, :]).argmax()) for point in points])
    wrong = [[answer != label for answer in answers] for answers in said]
    decision = decide(problem(one, two, rungs, label, counts=True), Enumerate())
    for which in range(2):
        assert decision.each[which].effective == sum(wrong[which])
        assert decision.verdicts[which].status is (
            Status.NOT_ROBUST if any(wrong[which]) else Status.ROBUST
        )
        witness = decision.verdicts[which].witness
        if witness is not None:
            cheapest = min(
                point.cost for point, bad in zip(points, wrong[which], strict=True) if bad
            )
            assert witness.cost == cheapest
            assert any(np.array_equal(witness.image, point.image) for point in points)
    transfer = decision.transfer
    assert transfer is not None
    both = [a and b for a, b in zip(*wrong, strict=True)]
    same = [b and x == y for b, x, y in zip(both, *said, strict=True)]
    assert (transfer.all.effective, transfer.all.transferred, transfer.all.same_class) == (
        sum(wrong[0]),
        sum(both),
        sum(same),
    )
    costs = [point.cost for point, bad in zip(points, wrong[0], strict=True) if bad]
    for pick, share in ((min, transfer.closest), (max, transfer.farthest)):
        if costs:
            at = [i for i, point in enumerate(points) if wrong[0][i] and point.cost == pick(costs)]
            assert (share.effective, share.transferred) == (len(at), sum(both[i] for i in at))
    quick = decide(problem(one, two, rungs, label, counts=False), Enumerate())
    assert [v.status for v in quick.verdicts] == [v.status for v in decision.verdicts]
    assert quick.transfer is None
    assert quick.each[0].effective is None


def test_margins_are_the_smallest_met() -> None:
    image = np.random.default_rng(1).integers(0, 256, size=(6, 6), dtype=np.uint8)
    one = random_dense(1, (36, 12, 3))
    rungs = rung_set(Ladder(Fraction(2), Fraction(1, 4), 7, 3), image)
    outputs = NumpyEvaluator(one).outputs(rungs.images(rungs.knapsack.masks(0, rungs.count)))
    label = int(outputs[0].argmax())
    decision = decide(problem(one, one, rungs, label, counts=True), Enumerate())
    expected = (outputs[:, label] - np.delete(outputs, label, axis=1).max(axis=1)).min()
    for verdict in decision.verdicts:
        assert verdict.margin == pytest.approx(expected, abs=1e-4)


def test_monotone_in_the_radius_and_in_the_features() -> None:
    """A sub-region of a ROBUST region is ROBUST; growing r never turns NOT_ROBUST into ROBUST."""
    for seed in range(12):
        image = np.random.default_rng(seed).integers(0, 256, size=(6, 6), dtype=np.uint8)
        one = random_dense(seed, (36, 12, 3))
        last = 0
        for radius in ("1/2", "1", "2", "4", "8"):
            rungs = rung_set(Ladder(Fraction(radius), Fraction(1, 2), 8, 3), image)
            label = int(NumpyEvaluator(one).outputs(rungs.base[None, :]).argmax())
            found = (
                decide(problem(one, one, rungs, label, counts=True), Enumerate()).each[0].effective
            )
            assert found is not None
            assert found >= last
            last = found


def test_no_time_means_unknown_with_its_reason_or_a_witness() -> None:
    image = np.zeros((6, 6), dtype=np.uint8)
    one = random_dense(4, (36, 12, 3))
    rungs = rung_set(Ladder(Fraction(100), Fraction(1, 2), 12, 3), image)
    label = int(NumpyEvaluator(one).outputs(rungs.base[None, :]).argmax())
    for counts in (True, False):
        decision = decide(problem(one, one, rungs, label, counts, seconds=1e-9), Enumerate())
        for verdict, finding in zip(decision.verdicts, decision.each, strict=True):
            assert finding.effective is None
            if verdict.status is Status.UNKNOWN:
                assert verdict.reason is Reason.TIME
            assert verdict.status is not Status.ROBUST
        assert decision.transfer is None


def many_points() -> RungSet:
    """Twelve features of equal cost, all 4,096 subsets: two blocks and ties in cost across them."""
    rungs = rung_set(Ladder(Fraction(100), Fraction(1, 2), 12, 3), np.zeros((6, 6), dtype=np.uint8))
    assert rungs.count == 4096
    return rungs


def test_counts_and_ties_in_cost_across_blocks() -> None:
    rungs = many_points()
    masks = rungs.knapsack.masks(0, rungs.count)
    moved = masks.sum(axis=1)
    mixed = 0
    for seed in range(12):
        one = random_dense(seed, (36, 12, 3))
        two = rounded(one, 3)
        first, second = (
            NumpyEvaluator(dense).outputs(rungs.images(masks)).argmax(axis=1)
            for dense in (one, two)
        )
        label = int(first[0])
        wrong, both = first != label, (first != label) & (second != label)
        transfer = decide(problem(one, two, rungs, label, counts=True), Enumerate()).transfer
        assert transfer is not None
        if not wrong.any():
            continue
        for at, share in (
            (wrong, transfer.all),
            (wrong & (moved == moved[wrong].min()), transfer.closest),
            (wrong & (moved == moved[wrong].max()), transfer.farthest),
        ):
            expected = (at.sum(), (at & both).sum(), (at & both & (first == second)).sum())
            assert (share.effective, share.transferred, share.same_class) == expected
        mixed += wrong[:2048].any() and wrong[2048:].any() and transfer.closest.effective > 1
    assert mixed > 2


@dataclass(frozen=True)
class SlowInBlocks:
    """Takes its time over a block of the enumeration, not over the few points of a search; always
    says class 0."""

    runtime: str = "slow"
    best_batch: int = 1

    def outputs(self, images: Floats) -> Floats:
        if len(images) > 1000:
            time.sleep(0.3)
        return np.tile(np.array([1, 0, 0], np.float32), (len(images), 1))


@pytest.mark.parametrize("solver", [Enumerate(), Branch(leaf=4096)], ids=["enumerate", "branch"])
@pytest.mark.parametrize("slow_first", [True, False])
def test_a_network_that_is_late_after_its_first_block_is_not_called_robust(
    solver: Solver[RungSet], slow_first: bool
) -> None:
    rungs = many_points()
    fast, box = (
        numpy_opened(random_dense(1, (36, 3)), SHAPE, black_box=hidden) for hidden in (False, True)
    )
    slow = Opened(box.network, SlowInBlocks(), SlowInBlocks())
    pair = (slow, fast) if slow_first else (fast, slow)
    decision = decide(Query(rungs, Label(0), pair, Budget(0.2), True), solver)
    late = decision.verdicts[0 if slow_first else 1]
    assert (late.status, late.reason) == (Status.UNKNOWN, Reason.TIME)
    assert decision.transfer is None


def test_memory_does_not_grow_with_the_points() -> None:
    """A ladder of 10^23 points is searched until its time is up, and its witness, if any, is found
    by the greedy search."""
    image = np.zeros((28, 28), dtype=np.uint8)
    dense = random_dense(2, (784, 8, 3))
    rungs = rung_set(Ladder(Fraction(200), Fraction(1, 4), None), image)
    assert rungs.count == 2**78
    label = int(NumpyEvaluator(dense).outputs(rungs.base[None, :]).argmax())
    networks = (numpy_opened(dense, (28, 28, 1)),)
    decision = decide(Query(rungs, Label(label), networks, Budget(0.3), True), Enumerate())
    assert decision.verdicts[0].status is not Status.ROBUST
    assert decision.each[0].effective is None


def test_auto_is_a_complete_solver_and_unknown_names_are_listed() -> None:
    assert solver_named("auto").complete
    with pytest.raises(Exception, match="enumerate"):
        solver_named("magic")


def test_no_solver_imports_another() -> None:
    folder = Path(__file__).resolve().parents[2] / "solvers" / "relrob_solvers"
    for file in folder.glob("*.py"):
        assert "from relrob_solvers" not in file.read_text(encoding="utf-8")
