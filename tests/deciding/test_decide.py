"""The door: replays, disagreements, crashes; and the sets that follow from verdicts and counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest

from relrob.deciding.decide import decide
from relrob.deciding.replay import replay
from relrob.domain.arrays import Bools, Floats
from relrob.domain.network import Network
from relrob.domain.record import Set
from relrob.domain.region import Ladder, Region
from relrob.domain.verdict import Reason, Status, Verdict
from relrob.errors import AlarmError, RelrobError, UsageError
from relrob.networks.open import Opened
from relrob.queries.findings import Finding, Findings
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import RungSet, rung_set
from relrob.relative.classify import Setting, classify
from relrob.relative.sets import Effective
from relrob_solvers.enumerate_ladder import Enumerate
from tests.support import NumpyEvaluator, numpy_opened, random_dense, rounded

SHAPE = (6, 6, 1)
LADDER = Ladder(Fraction(4), Fraction(1, 2), 7, 3)
IMAGE = np.random.default_rng(3).integers(0, 256, size=SHAPE, dtype=np.uint8)


@dataclass(frozen=True)
class Scripted:
    """A solver that says what it is told to."""

    finding: Finding | Exception
    name: str = "scripted"
    complete: bool = False
    refusal: str | None = None

    def accepts(self, region: Region, networks: Sequence[Network]) -> str | None:
        return self.refusal

    def solve(self, query: Query[RungSet]) -> Findings:
        if isinstance(self.finding, Exception):
            raise self.finding
        return Findings((self.finding,), None, self.finding.evaluated)


def setup(seed: int = 0) -> tuple[Opened, RungSet, int, Bools, Bools]:
    """A network, a ladder, the label, and which masks are effective."""
    for attempt in range(seed, seed + 100):
        opened = numpy_opened(random_dense(attempt, (36, 12, 3)), SHAPE)
        rungs = rung_set(LADDER, IMAGE)
        masks = rungs.knapsack.masks(0, rungs.count)
        said = opened.evaluator.outputs(rungs.images(masks)).argmax(axis=1)
        if 0 < (said != said[0]).sum() < len(said):
            return opened, rungs, int(said[0]), masks, said != said[0]
    raise AssertionError("no such network")


def ask(finding: Finding | Exception, opened: Opened, rungs: RungSet, label: int) -> Verdict:
    problem = Query(rungs, Label(label), (opened,), Budget(600), counts=True)
    return decide(problem, Scripted(finding)).verdicts[0]


def test_a_true_witness_is_replayed_and_kept() -> None:
    opened, rungs, label, masks, effective = setup()
    verdict = ask(Finding(False, (masks[effective][0],), -1.0, 1), opened, rungs, label)
    assert verdict.status is Status.NOT_ROBUST
    assert verdict.witness is not None
    assert (
        int(opened.evaluator.outputs(verdict.witness.image[None, :]).argmax())
        == verdict.witness.label
        != label
    )
    assert verdict.witness.margin <= 0
    assert verdict.disagreements == 0


def test_a_false_witness_is_reported_and_never_a_verdict(caplog: pytest.LogCaptureFixture) -> None:
    opened, rungs, label, masks, effective = setup()
    verdict = ask(Finding(False, (masks[~effective][0],), -1.0, 1), opened, rungs, label)
    assert (verdict.status, verdict.reason, verdict.disagreements) == (
        Status.UNKNOWN,
        Reason.REPLAY,
        1,
    )
    assert "replay disagrees" in caplog.text


def test_a_claimed_proof_that_its_own_thinnest_point_refutes_is_not_robust() -> None:
    opened, rungs, label, masks, effective = setup()
    verdict = ask(Finding(True, (masks[effective][0],), 0.1, 1, effective=0), opened, rungs, label)
    assert (verdict.status, verdict.disagreements) == (Status.NOT_ROBUST, 1)


def test_a_witness_beside_a_count_of_none_is_an_alarm() -> None:
    opened, rungs, label, masks, effective = setup()
    with pytest.raises(AlarmError, match="in which scripted counted none; nothing is pronounced"):
        ask(Finding(False, (masks[effective][0],), -1.0, 1, effective=0), opened, rungs, label)
    verdict = ask(Finding(False, (masks[effective][0],), -1, 1, effective=1), opened, rungs, label)
    assert verdict.status is Status.NOT_ROBUST


def test_a_witness_outside_the_region_is_a_bug_not_a_verdict() -> None:
    opened, rungs, label, masks, _ = setup()
    with pytest.raises(RelrobError, match="outside the region"):
        replay(opened, rungs, Label(label), np.ones_like(masks[0]))


@pytest.mark.parametrize(
    ("crash", "reason"), [(ValueError("x"), Reason.CRASH), (MemoryError(), Reason.MEMORY)]
)
def test_a_crash_is_unknown_with_its_own_reason(crash: Exception, reason: Reason) -> None:
    opened, rungs, label, _, _ = setup()
    verdict = ask(crash, opened, rungs, label)
    assert (verdict.status, verdict.reason) == (Status.UNKNOWN, reason)


def test_a_solver_that_does_not_take_the_problem_says_why() -> None:
    opened, rungs, label, _, _ = setup()
    problem = Query(rungs, Label(label), (opened,), Budget(600), counts=True)
    with pytest.raises(UsageError, match="only boxes"):
        decide(problem, Scripted(ValueError(), refusal="only boxes"))


def test_impossible_verdicts_cannot_exist() -> None:
    opened, rungs, label, masks, effective = setup()
    good = ask(Finding(False, (masks[effective][0],), -1.0, 1), opened, rungs, label)
    for change in (
        {"witness": None},
        {"status": Status.ROBUST},
        {"reason": Reason.TIME},
        {"status": Status.UNKNOWN},
    ):
        with pytest.raises(ValueError, match="belongs to"):
            replace(good, **change)


def setting(
    reference: Opened,
    quantised: Opened,
    effective: Effective,
    counts: bool = True,
    seconds: float = 600,
) -> Setting:
    return Setting(reference, quantised, LADDER, Enumerate(), Budget(seconds), effective, counts)


def expected_set(reference: Bools, quantised: Bools, costs: list[Fraction], rule: Effective) -> Set:
    """The sets of docs/regions.md, from the two lists of effective points."""
    if not reference.any():
        return Set.RFP if quantised.any() else Set.RQFP
    pick = {Effective.CLOSEST: min, Effective.FARTHEST: max}.get(rule)
    chosen = list(np.flatnonzero(reference))
    if pick is not None:
        extreme = pick(costs[i] for i in chosen)
        chosen = [i for i in chosen if costs[i] == extreme]
    transferred = sum(bool(quantised[i]) for i in chosen)
    if transferred == 0:
        return Set.RQ
    return Set.R0 if transferred == len(chosen) else Set.MIXED


@pytest.mark.parametrize("rule", list(Effective))
def test_sets_follow_the_definitions(rule: Effective) -> None:
    seen = set()
    for seed in range(150):
        one = random_dense(seed, (36, 12, 3))
        two = rounded(one, 2 + seed % 3)
        rungs = rung_set(LADDER, IMAGE)
        masks = rungs.knapsack.masks(0, rungs.count)
        said = [NumpyEvaluator(d).outputs(rungs.images(masks)).argmax(axis=1) for d in (one, two)]
        label = int(said[0][0])
        pair = (numpy_opened(one, SHAPE), numpy_opened(two, SHAPE, black_box=True))
        result = classify(setting(*pair, rule), 5, IMAGE, label)
        record = result.record
        costs = [rungs.cost(mask) for mask in masks]
        assert record.set is expected_set(said[0] != label, said[1] != label, costs, rule)
        assert record.clean_regression == (said[1][0] != label)
        assert record.points == record.evaluated == rungs.count
        assert [view.network for view in result.witnesses] == [
            name
            for name, verdict in (
                ("reference", record.reference_verdict),
                ("quantised", record.quantised_verdict),
            )
            if verdict == "NOT_ROBUST"
        ]
        seen.add(record.set)
    assert {Set.RQFP, Set.RFP, Set.R0, Set.RQ} <= seen


def test_a_misclassified_image_is_left_out() -> None:
    opened, _rungs, label, _, _ = setup()
    wrong = (label + 1) % 3
    record = classify(setting(opened, opened, Effective.CLOSEST), 0, IMAGE, wrong).record
    assert (record.set, record.reference_verdict, record.points) == (Set.L_IC, "", None)


def test_without_counts_the_witness_found_decides() -> None:
    opened, _rungs, label, _, _ = setup()
    record = classify(
        setting(opened, opened, Effective.CLOSEST, counts=False), 0, IMAGE, label
    ).record
    assert (record.set, record.reference_effective, record.transferred) == (Set.R0, None, None)


def test_unknown_says_which_network_and_why() -> None:
    @dataclass(frozen=True)
    class Slow:
        inner: NumpyEvaluator
        runtime: str = "slow"
        best_batch: int = 1

        def outputs(self, images: Floats) -> Floats:
            return self.inner.outputs(images)

    dense = random_dense(1, (36, 3))
    opened = numpy_opened(dense, SHAPE, black_box=True)
    slow = Opened(opened.network, Slow(NumpyEvaluator(dense)), opened.replayer)
    label = int(opened.evaluator.outputs(rung_set(LADDER, IMAGE).base[None, :]).argmax())
    tiny = Setting(
        slow,
        slow,
        Ladder(Fraction(1, 100), Fraction(1, 1000), 7, 3),
        Enumerate(),
        Budget(1e-9),
        Effective.ALL,
        True,
    )
    record = classify(tiny, 0, IMAGE, label).record
    assert record.set is Set.UNKNOWN
    assert record.reason.count("time limit") == 2
    assert record.reason.startswith("reference: ")
