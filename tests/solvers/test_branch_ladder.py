"""Branching against enumeration and against the naive referee: the same verdicts, the same exact
counts, fewer points run."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import relrob
from relrob.deciding.choose import solver_named
from relrob.deciding.decide import Decision, decide
from relrob.domain.network import Dense
from relrob.domain.region import Ladder
from relrob.domain.verdict import Reason, Status
from relrob.judging.transfer import Same, TransferCount
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import Opened, open_network
from relrob.queries.findings import Share
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import RungSet, rung_set
from relrob.regions.part import whole
from relrob.relative.classify import Setting, classify
from relrob.relative.sets import Effective
from relrob_solvers.bounds_ladder import Bounds
from relrob_solvers.branch_ladder import Branch
from relrob_solvers.enumerate_ladder import Enumerate
from tests import hostile, naive
from tests.instances import OneByOne
from tests.make_networks import write_tflite
from tests.support import NumpyEvaluator, numpy_opened, random_dense, rounded

SHAPE = (6, 6, 1)


def rungs_of(seed: int, region: tuple[str, str], features: int = 8) -> RungSet:
    image = np.random.default_rng(seed).integers(0, 256, size=(6, 6), dtype=np.uint8)
    return rung_set(Ladder(Fraction(region[0]), Fraction(region[1]), features, 4), image)


def problem(
    one: Dense, two: Dense, rungs: RungSet, label: int, counts: bool, seconds: float = 600
) -> Query[RungSet]:
    networks = (numpy_opened(one, SHAPE), numpy_opened(two, SHAPE))
    return Query(rungs, Label(label), networks, Budget(seconds), counts)


def same(one: Decision, two: Decision, counts: bool) -> None:
    """Everything but margins and effort is equal."""
    assert [v.status for v in one.verdicts] == [v.status for v in two.verdicts]
    assert [f.effective for f in one.each] == [f.effective for f in two.each]
    assert one.transfer == two.transfer
    if counts:
        costs = [
            [v.witness.cost if v.witness else None for v in decision.verdicts]
            for decision in (one, two)
        ]
        assert costs[0] == costs[1]


@settings(max_examples=120)
@given(
    st.integers(0, 10**6),
    st.sampled_from([("2", "1/4"), ("4", "1/2"), ("3", "1"), ("1", "1/16")]),
    st.integers(2, 8),
    st.sampled_from([1, 4, 30]),
    st.sampled_from([(36, 3), (36, 12, 3), (36, 14, 10, 4), (36, 9, 8, 7, 3)]),
)
def test_the_same_as_enumeration(
    seed: int, region: tuple[str, str], bits: int, leaf: int, sizes: tuple[int, ...]
) -> None:
    one = random_dense(seed, sizes)
    two = rounded(one, bits)
    rungs = rungs_of(seed, region)
    said = NumpyEvaluator(one).outputs(rungs.base[None, :]).argmax()
    for label in {int(said), (int(said) + 1) % sizes[-1]}:
        for counts in (True, False):
            asked = problem(one, two, rungs, label, counts)
            same(decide(asked, Branch(leaf)), decide(asked, Enumerate()), counts)


@settings(max_examples=150)
@given(st.integers(0, 10**9))
def test_the_same_as_enumeration_on_hostile_networks(seed: int) -> None:
    """Ties, dead neurons, subnormal and huge weights, awkward pixels."""
    dense, image = hostile.network(seed), hostile.image(seed)
    rungs = rung_set(hostile.ladder(seed, image), image)
    evaluator = OneByOne(NumpyEvaluator(dense))
    opened = Opened(numpy_opened(dense, (1, dense.inputs, 1)).network, evaluator, evaluator)
    with np.errstate(all="ignore"):
        label = int(evaluator.outputs(rungs.base[None, :]).argmax())
        networks = (opened, opened)
        for counts in (True, False):
            asked = Query(rungs, Label(label), networks, Budget(600), counts)
            same(decide(asked, Branch(2)), decide(asked, Enumerate()), counts)


def test_the_same_as_the_naive_referee() -> None:
    for seed in range(12):
        image = np.random.default_rng(seed).integers(0, 256, size=(6, 6), dtype=np.uint8)
        one = random_dense(seed, (36, 12, 10, 3))
        rungs = rung_set(Ladder(Fraction(3), Fraction(1, 2), 7, 3), image)
        run = NumpyEvaluator(one)
        label = int(run.outputs(rungs.base[None, :]).argmax())
        every = [
            point.image for point in naive.points(image, Fraction(3), Fraction(1, 2), 7, axes=3)
        ]
        bad = sum(int(run.outputs(shown[None, :]).argmax()) != label for shown in every)
        decision = decide(problem(one, one, rungs, label, counts=True), Branch(1))
        assert [finding.effective for finding in decision.each] == [bad, bad]


@pytest.fixture(scope="module", params=["dynamic", "int8"])
def files(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> list[tuple[Dense, Path]]:
    folder = tmp_path_factory.mktemp("files")
    found = []
    for seed in (1, 2):
        dense = random_dense(seed, (36, 40, 32, 4))
        write_tflite(dense, folder / f"{seed}.tflite", SHAPE, request.param)
        found.append((dense, folder / f"{seed}.tflite"))
    return found


@pytest.mark.parametrize("runtime", ["xnnpack", "builtin"])
def test_quantised_files_give_the_same_as_enumeration(
    files: list[tuple[Dense, Path]], runtime: str
) -> None:
    proved = 0
    for dense, path in files:
        network = load_network(path, image_shape=SHAPE, classes=4, runtime=runtime)
        quantised = Opened(network, open_network(network), open_network(network, batch=1))
        for seed in range(8):
            rungs = rungs_of(seed, [("2", "1/4"), ("1", "1/32"), ("4", "1/2")][seed % 3])
            label = int(NumpyEvaluator(dense).outputs(rungs.base[None, :]).argmax())
            asked = Query(
                rungs, Label(label), (numpy_opened(dense, SHAPE), quantised), Budget(600), True
            )
            branched, enumerated = decide(asked, Branch(8)), decide(asked, Enumerate())
            same(branched, enumerated, counts=True)
            assert enumerated.evaluated == rungs.count
            proved += rungs.count - branched.evaluated
    assert proved > 0


def test_a_whole_ladder_of_78_features_is_decided_without_running_it() -> None:
    """2^78 points, a network that cannot be fooled by steps of 1/255: one bound proves both forms
    of it."""
    image = np.zeros((28, 28), dtype=np.uint8)
    dense = random_dense(2, (784, 8, 3))
    rungs = rung_set(Ladder(Fraction(1), Fraction(1, 2000), None), image)
    assert rungs.count == 2**78
    label = int(NumpyEvaluator(dense).outputs(rungs.base[None, :]).argmax())
    networks = (numpy_opened(dense, (28, 28, 1)), numpy_opened(dense, (28, 28, 1)))
    for said, status, effective in (
        (label, Status.ROBUST, 0),
        ((label + 1) % 3, Status.NOT_ROBUST, 2**78),
    ):
        decision = decide(Query(rungs, Label(said), networks, Budget(600), True), Branch())
        assert [verdict.status for verdict in decision.verdicts] == [status, status]
        assert [finding.effective for finding in decision.each] == [effective, effective]
        assert decision.evaluated < 5000
        assert decision.transfer is not None
        assert decision.transfer.all == Share(effective, effective, effective)
        assert (
            decision.transfer.closest.effective
            == decision.transfer.farthest.effective
            == min(effective, 1)
        )


def test_the_record_says_what_was_run_and_what_was_proved() -> None:
    image = np.random.default_rng(3).integers(0, 256, size=SHAPE, dtype=np.uint8)
    one = random_dense(3, (36, 12, 3))
    ladder = Ladder(Fraction(1), Fraction(1, 64), 8, 4)
    pair = (numpy_opened(one, SHAPE), numpy_opened(rounded(one, 7), SHAPE))
    rungs = rung_set(ladder, image)
    label = int(NumpyEvaluator(one).outputs(rungs.base[None, :]).argmax())
    for counts in (True, False):
        setting = Setting(*pair, ladder, Branch(8), Budget(600), Effective.CLOSEST, counts)
        record = classify(setting, 0, image, label).record
        assert record.points == record.evaluated + record.proved == 256
        assert record.proved > 0
        assert record.decided_by == "branch,branch"


def test_a_whole_run_over_a_ladder_of_78_features(tmp_path: Path) -> None:
    """2^78 points, decided and stored: counts that no machine integer holds survive the store and
    the summary."""
    dense = rounded(random_dense(2, (784, 8, 3)), 8)
    images = np.zeros((2, 28, 28), dtype=np.uint8)
    label = int(NumpyEvaluator(dense).outputs(np.zeros((1, 784), np.float32)).argmax())
    np.savez(tmp_path / "data.npz", images=images, labels=np.array([label, label]), classes=3)
    (tmp_path / "ref.onnx").write_bytes(to_onnx(dense))
    summary = relrob.verify(
        tmp_path / "ref.onnx",
        tmp_path / "ref.onnx",
        radius=1,
        step="1/2000",
        dataset=str(tmp_path / "data.npz"),
        images="all",
        features="all",
        out=tmp_path / "run",
    )
    assert summary["sets"]["R_Q^FP"] == 2
    points = summary["points"]
    assert points["covered"] == points["evaluated"] + points["proved"] == 2 * 2**78
    assert f"{2**78}" in (tmp_path / "run" / "images.csv").read_text(encoding="utf-8")


def test_no_time_means_unknown_with_its_reason() -> None:
    one = random_dense(4, (36, 12, 3))
    rungs = rungs_of(4, ("100", "1/2"))
    label = int(NumpyEvaluator(one).outputs(rungs.base[None, :]).argmax())
    for counts in (True, False):
        decision = decide(problem(one, one, rungs, label, counts, seconds=1e-9), Branch(1))
        for verdict in decision.verdicts:
            assert verdict.status is Status.UNKNOWN
            assert verdict.reason is Reason.TIME
        assert decision.transfer is None


def test_black_boxes_are_refused_and_auto_enumerates_them() -> None:
    one = random_dense(4, (36, 12, 3))
    rungs = rungs_of(4, ("2", "1/2"))
    label = int(NumpyEvaluator(one).outputs(rungs.base[None, :]).argmax())
    boxes = (numpy_opened(one, SHAPE, black_box=True),)
    asked = Query(rungs, Label(label), boxes, Budget(600), True)
    with pytest.raises(Exception, match=r"no bounds for test; float MLPs, dense \.tflite"):
        decide(asked, Branch())
    assert {verdict.solver for verdict in decide(asked, solver_named("auto")).verdicts} == {
        "enumerate"
    }
    mixed = Query(rungs, Label(label), (numpy_opened(one, SHAPE), *boxes), Budget(600), True)
    assert {verdict.solver for verdict in decide(mixed, solver_named("auto")).verdicts} == {
        "branch"
    }
    same(decide(mixed, Branch(4)), decide(mixed, Enumerate()), counts=True)


def test_points_and_parts_add_up_alike() -> None:
    """Transfer counts do not depend on whether a part was added whole or point by point."""
    for seed in range(10):
        rungs = rungs_of(seed, ("3", "1/2"))
        moved, others = whole(rungs).split(0)
        parts = [moved, *others.split(others.free[-1])]
        by_part, by_point = TransferCount(rungs), TransferCount(rungs)
        for number, part in enumerate(parts):
            first, second = (number + seed) % 3, number % 2
            dearest = part.dearest()
            assert dearest is not None
            by_part.add_part(part, (first != 0, second != 0), first == second, dearest)
            for masks in part.blocks(5):
                said = [Same(len(masks), label, label != 0) for label in (first, second)]
                by_point.add_points(masks, *said)
        assert by_part.result == by_point.result


def test_bounds_alone_are_sound_and_say_when_they_do_not_tell() -> None:
    seen = set()
    for seed in range(60):
        region = [("1", "1/32"), ("2", "1/4"), ("4", "1/2")][seed % 3]
        one = random_dense(seed, (36, 12, 10, 3))
        rungs = rungs_of(seed, region)
        label = int(NumpyEvaluator(one).outputs(rungs.base[None, :]).argmax())
        asked = problem(one, rounded(one, 6), rungs, label, counts=True)
        bounded, enumerated = decide(asked, Bounds()), decide(asked, Enumerate())
        for quick, slow, finding in zip(
            bounded.verdicts, enumerated.verdicts, bounded.each, strict=True
        ):
            assert quick.status in (slow.status, Status.UNKNOWN)
            assert (quick.reason is Reason.BOUNDS) == (quick.status is Status.UNKNOWN)
            assert finding.effective in (None, 0)
            seen.add(quick.status)
    assert seen == set(Status)
    boxes = (numpy_opened(random_dense(1, (36, 3)), SHAPE, black_box=True),)
    assert (
        Bounds().accepts(rungs_of(1, ("1", "1/2")).region, [box.network for box in boxes])
        is not None
    )
