"""Attacks on ROBUST: hostile networks, images and radii against exact arithmetic and against
onnxruntime itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relrob.deciding.decide import decide
from relrob.domain.network import Dense, Layer, Network
from relrob.domain.record import Set
from relrob.domain.region import Ladder
from relrob.domain.rounding import layer_error
from relrob.domain.verdict import Status
from relrob.judging.folded import FoldedDense
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet, rung_set
from relrob.relative.classify import Setting, classify
from relrob.relative.sets import Effective
from relrob_solvers.branch_ladder import Branch
from relrob_solvers.enumerate_ladder import Enumerate
from tests import hostile, naive
from tests.hostile import ONE_POINT, WHITE, linear, said, session

SOLVERS: list[Solver[RungSet]] = [Enumerate(), Branch(leaf=1), Branch(leaf=4)]


def opened(path: Path) -> Opened:
    network = load_network(path, image_shape=hostile.SHAPE, classes=2, more_classes=True)
    assert network.dense is not None
    assert not network.folded
    return Opened(network, open_network(network), open_network(network, batch=1))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile") / "network.onnx"


@settings(max_examples=120)
@given(
    seed=st.integers(0, 10**6),
    softmax=st.booleans(),
    counts=st.booleans(),
    solver=st.sampled_from(SOLVERS),
)
def test_verdicts_counts_and_witnesses_are_the_runtimes(
    file: Path, seed: int, softmax: bool, counts: bool, solver: Solver[RungSet]
) -> None:
    dense, shown = hostile.network(seed, softmax), hostile.image(seed)
    ladder = hostile.ladder(seed, shown)
    run = session(hostile.write_onnx(dense, file))
    points = list(
        naive.points(shown, ladder.radius, ladder.step, ladder.features or 0, ladder.axes)
    )
    answers = said(np.concatenate([run(point.image[None, :]) for point in points]))
    label = max(int(answers[0]), 0)
    bad = answers != label
    problem = Query(rung_set(ladder, shown), Label(label), (opened(file),), Budget(600), counts)
    decision = decide(problem, solver)
    verdict = decision.verdicts[0]
    assert problem.points.count == len(points)
    assert verdict.status is (Status.NOT_ROBUST if bad.any() else Status.ROBUST)
    assert decision.each[0].effective == (int(bad.sum()) if counts else None)
    assert verdict.margin is not None
    assert not np.isnan(verdict.margin)
    if verdict.status is Status.ROBUST:
        assert verdict.margin >= 0
    else:
        assert verdict.witness is not None
        assert verdict.margin <= 0
        assert (said(run(verdict.witness.image[None, :]))[0], verdict.witness.label) != (
            label,
            label,
        )
        wrong = [point for point, is_bad in zip(points, bad, strict=True) if is_bad]
        assert any(point.moved == verdict.witness.moved for point in wrong)
        if counts:
            assert verdict.witness.cost == min(point.cost for point in wrong)


@settings(max_examples=100)
@given(
    seed=st.integers(0, 10**6),
    rule=st.sampled_from(list(Effective)),
    solver=st.sampled_from(SOLVERS),
)
def test_the_whole_record_is_what_the_two_runtimes_say(
    tmp_path_factory: pytest.TempPathFactory, seed: int, rule: Effective, solver: Solver[RungSet]
) -> None:
    """A hostile pair: the second network is the first with coarser weights, or a stranger with as
    many classes."""
    folder = tmp_path_factory.getbasetemp()
    one = hostile.network(seed)
    two = coarse(one) if seed % 4 else hostile.network(seed + 1)
    shown = hostile.image(seed)
    ladder = hostile.ladder(seed, shown)
    paths = [
        hostile.write_onnx(dense, folder / f"{name}.onnx")
        for name, dense in (("one", one), ("two", two))
    ]
    runs = [session(path) for path in paths]
    points = list(
        naive.points(shown, ladder.radius, ladder.step, ladder.features or 0, ladder.axes)
    )
    answers = [
        said(np.concatenate([run(point.image[None, :]) for point in points])) for run in runs
    ]
    label = int(answers[0][0])
    if not 0 <= label < min(one.classes, two.classes):
        return
    setting = Setting(opened(paths[0]), opened(paths[1]), ladder, solver, Budget(600), rule, True)
    record = classify(setting, 3, shown, label).record
    wrong = [answer != label for answer in answers]
    assert (record.reference_effective, record.quantised_effective) == (
        wrong[0].sum(),
        wrong[1].sum(),
    )
    assert record.transferred == (wrong[0] & wrong[1]).sum()
    assert record.same_class == (wrong[0] & wrong[1] & (answers[0] == answers[1])).sum()
    assert record.clean_regression == wrong[1][0]
    assert record.disagreements == 0
    costs = [point.cost for point in points]
    assert record.set is by_definition(wrong[0], wrong[1], costs, rule)
    if wrong[0].any():
        least = min(cost for cost, bad in zip(costs, wrong[0], strict=True) if bad)
        nearest = np.array([cost == least for cost in costs]) & wrong[0]
        assert (record.closest_effective, record.closest_transferred) == (
            nearest.sum(),
            (nearest & wrong[1]).sum(),
        )


def by_definition(
    first: NDArray[Any], second: NDArray[Any], costs: list[Fraction], rule: Effective
) -> Set:
    """The sets of Duncan et al. 2020, Sec. III, spelt out."""
    if not first.any():
        return Set.RFP if second.any() else Set.RQFP
    chosen = [number for number, bad in enumerate(first) if bad]
    if rule is not Effective.ALL:
        edge = (min if rule is Effective.CLOSEST else max)(costs[number] for number in chosen)
        chosen = [number for number in chosen if costs[number] == edge]
    transfers = {bool(second[number]) for number in chosen}
    return {frozenset({True}): Set.R0, frozenset({False}): Set.RQ}.get(
        frozenset(transfers), Set.MIXED
    )


def coarse(dense: Dense) -> Dense:
    """Weights of three significant bits."""
    layers = []
    for layer in dense.layers:
        mantissa, exponent = np.frexp(layer.weights)
        layers.append(Layer(np.ldexp(np.rint(mantissa * 8) / 8, exponent), layer.bias, layer.relu))
    return Dense(tuple(layers), dense.softmax)


TWO_POINTS = Ladder(Fraction(1), Fraction(1, 2), 1, 1)  # of white: the first pixel is moved or not
EDGES = {
    "both logits overflow to the same infinity": (linear([[3e38, 3e38]] * 3, [0, 1]), 1),
    "a sum overflows on the way, in some order": (
        linear([[3e38, 0], [3e38, 0], [-3e38, 0], [-3e38, 0]], [1, 0]),
        0,
    ),
    "probabilities tie where logits differ": (
        linear([[2.0**-26, 2.0**-26 + 2.0**-30]], [0, 0], softmax=True),
        1,
    ),
    "twins": (linear([[0.3, 0.3], [0.1, 0.1]], [0.7, 0.7]), 0),
    "one ulp apart at a large bias": (linear([[1e-4, 0]], [1e4, 1e4]), 0),
    "wrong, by which of two twins": (linear([[0.3, 0.3, -9], [0.1, 0.1, 0]], [0.7, 0.7, 0]), 2),
    "right by less than rounding": (linear([[1, 1], [1, 1], [1, 1]], [2.0**-21, 0]), 0),
    "wrong by less than rounding": (linear([[1, 1], [1, 1], [1, 1]], [2.0**-21, 0]), 1),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_are_left_to_the_runtime(file: Path, name: str) -> None:
    """A point whose label must not be certain by folded arithmetic; and twice the same in a region,
    for bounds: the verdict is the runtime's."""
    dense, label = EDGES[name]
    rungs = rung_set(ONE_POINT, WHITE)
    assert rungs.count == 1
    judged = FoldedDense(dense, rungs, Label(label)).judge(rungs.knapsack.masks(0, 1))
    assert judged.close.all()
    run = session(hostile.write_onnx(dense, file))
    right = said(run(rungs.base[None, :]))[0] == label
    for solver in SOLVERS:
        problem = Query(
            rung_set(TWO_POINTS, WHITE), Label(label), (opened(file),), Budget(600), True
        )
        decision = decide(problem, solver)
        assert problem.points.count == 2
        assert decision.each[0].effective == (0 if right else 2)
        assert decision.verdicts[0].status is (Status.ROBUST if right else Status.NOT_ROBUST)


def test_a_network_that_gives_nan_is_never_right(file: Path) -> None:
    """inf - inf: the first maximum of a row of NaN would be class 0."""
    first = Layer(np.full((12, 2), 3e38, np.float32), np.zeros(2, np.float32), relu=True)
    last = Layer(np.array([[1, 1], [-1, -1]], np.float32), np.zeros(2, np.float32), relu=False)
    run = session(hostile.write_onnx(Dense((first, last)), file))
    rungs = rung_set(ONE_POINT, WHITE)
    assert np.isnan(run(rungs.base[None, :])).all()
    verdict = decide(
        Query(rungs, Label(0), (opened(file),), Budget(600), True), Enumerate()
    ).verdicts[0]
    assert verdict.status is Status.NOT_ROBUST
    assert verdict.witness is not None
    assert (verdict.witness.label, verdict.margin) == (-1, float("-inf"))


@pytest.mark.parametrize(
    "constants",
    [
        ("before", "Mul", 255.0, "Mul", 1 / 255),
        ("before", "Add", 1e6, "Sub", 1e6),
        ("after", "Add", 1e8, "Sub", 1e8),
    ],
)
def test_two_constants_in_a_row_are_not_taken_for_none(
    tmp_path: Path, constants: tuple[Any, ...]
) -> None:
    """x * 255 / 255 is the identity over the reals and not in float32: the file runs, and its
    roundings are in the error."""
    from onnx import TensorProto, helper, numpy_helper

    where, first, one, second, two = constants
    names = ["x", "a", "b", "y"] if where == "before" else ["x", "m", "a", "y"]
    places = (0, 1) if where == "before" else (1, 2)
    nodes = [
        helper.make_node(kind, [names[at], number], [names[at + 1]])
        for at, kind, number in zip(places, (first, second), ("one", "two"), strict=True)
    ]
    product = helper.make_node(
        "MatMul", ["b" if where == "before" else "x", "w"], ["y" if where == "before" else "m"]
    )
    nodes = [*nodes, product] if where == "before" else [product, *nodes]
    held = {"one": one, "two": two, "w": np.eye(12, 2)}
    graph = helper.make_graph(
        nodes,
        "two constants",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [
            numpy_helper.from_array(np.asarray(value, np.float32), name)
            for name, value in held.items()
        ],
    )
    path = tmp_path / "two.onnx"
    path.write_bytes(
        helper.make_model(
            graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]
        ).SerializeToString()
    )
    network = load_network(path, image_shape=hostile.SHAPE, classes=2)
    assert network.dense is not None
    assert network.folded
    images, layer = (
        np.random.default_rng(0).random((50, 12), dtype=np.float32),
        network.dense.layers[0],
    )
    outputs = open_network(network, batch=50).outputs(images)
    assert np.array_equal(outputs, session(path)(images))
    real = images.astype(np.float64) @ layer.weights + layer.bias
    error = layer_error(layer, images.astype(np.float64), np.abs(layer.weights))
    assert (np.abs(outputs - real) <= error).all()
    assert np.abs(outputs - real).max() > (0 if constants[1] == "Mul" else 1e-3)


def test_margins_keep_one_unit_where_the_runtime_gives_probabilities(file: Path) -> None:
    """A logit margin of 20 is a probability margin below 1; the verdict's margin must not be the
    smaller of two units."""
    dense = linear([[10.0, -10.0]], [0, 0], softmax=True)
    hostile.write_onnx(dense, file)
    shown = WHITE.copy()
    shown.reshape(-1)[1] = 254
    rungs = rung_set(Ladder(Fraction(1, 4), Fraction(1, 4), 1, 1), shown)
    verdict = decide(
        Query(rungs, Label(0), (opened(file),), Budget(600), True), Enumerate()
    ).verdicts[0]
    assert verdict.status is Status.ROBUST
    assert verdict.margin == pytest.approx(20 * (254 / 255 - 1 / 4), abs=1e-3)


def test_points_are_the_naive_ones_for_awkward_pixels_and_radii() -> None:
    """Radii met exactly and missed by one unit of the common denominator; subnormal pixels, 1/2,
    128/255, -0.0."""
    met = 0
    for seed in range(150):
        shown = hostile.image(seed)
        ladder = hostile.ladder(seed, shown)
        rungs = rung_set(ladder, shown)
        expected = list(
            naive.points(shown, ladder.radius, ladder.step, ladder.features or 0, ladder.axes)
        )
        masks = rungs.knapsack.masks(0, rungs.count)
        found = {tuple(int(g) for g in np.flatnonzero(mask)): mask for mask in masks}
        assert {point.moved for point in expected} == found.keys()
        for point in expected:
            mask = found[point.moved]
            assert rungs.cost(mask) == point.cost
            assert np.array_equal(rungs.images(mask[None, :])[0], point.image)
            assert rungs.contains(point.image)
            met += point.cost == ladder.radius
        outside = np.ones(rungs.features, bool)
        if rungs.cost(outside) > ladder.radius and (rungs.moved != rungs.base[rungs.axes]).all():
            assert not rungs.contains(rungs.images(outside[None, :])[0])
    assert met > 40


@pytest.mark.parametrize("kind", ["onnxruntime", "numpy"])
def test_black_boxes_and_weights_give_the_same_verdicts(file: Path, kind: str) -> None:
    """The same file judged by folded arithmetic and as a black box that is only run."""
    for seed in range(60):
        dense, shown = hostile.network(seed, softmax=kind == "numpy"), hostile.image(seed)
        rungs = rung_set(hostile.ladder(seed, shown), shown)
        one = opened(hostile.write_onnx(dense, file))
        label = max(int(said(one.replayer.outputs(rungs.base[None, :]))[0]), 0)
        fields = {name: getattr(one.network, name) for name in Network.__dataclass_fields__}
        box = Opened(Network(**{**fields, "dense": None}), one.evaluator, one.replayer)
        pair = decide(Query(rungs, Label(label), (one, box), Budget(600), True), Enumerate())
        assert pair.verdicts[0].status is pair.verdicts[1].status
        assert pair.each[0].effective == pair.each[1].effective
        assert pair.transfer is not None
        assert (
            pair.transfer.all.transferred == pair.transfer.all.same_class == pair.each[0].effective
        )
