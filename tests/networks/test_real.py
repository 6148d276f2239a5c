"""A float MLP over the reals: outputs, bounds, verdicts and certificates against fractions, and
against other arithmetic."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import relrob
from relrob.bounding.ladder import LadderBounds
from relrob.certificates.checking.check import check
from relrob.deciding.choose import solver_named
from relrob.deciding.decide import decide
from relrob.domain.arrays import Floats
from relrob.domain.network import Arithmetic, Dense, Layer, Network
from relrob.domain.verdict import Status
from relrob.errors import NetworkError, UsageError
from relrob.networks.enclose import enclosure_of
from relrob.networks.evaluator import labels, margins
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import Opened, open_network
from relrob.networks.real import open_real
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import RungSet
from relrob.regions.part import whole
from relrob.testing import hostile
from relrob.testing.cases import over_reals, random_case
from relrob.testing.suite import bound_complaints
from tests.support import random_dense

SHAPE = (6, 6, 1)


def real(dense: Dense) -> Opened:
    """A network over the reals, opened as a user's is."""
    network = Network(
        "case",
        "0" * 64,
        "onnx",
        "real",
        dense.inputs,
        dense.classes,
        (dense.inputs, 1, 1),
        dense=dense,
        arithmetic=Arithmetic.REAL,
    )
    runs = open_network(network)
    return Opened(network, runs, runs)


def fractions(dense: Dense, image: Floats) -> list[Fraction]:
    """The logits of one image (d,), term by term."""
    values = [Fraction(float(pixel)) for pixel in image]
    for layer in dense.layers:
        sums = []
        for weights, bias in zip(layer.weights.T.tolist(), layer.bias.tolist(), strict=True):
            total = sum(
                (Fraction(w) * v for w, v in zip(weights, values, strict=True)), Fraction(bias)
            )
            sums.append(max(total, Fraction(0)) if layer.relu else total)
        values = sums
    return values


def tied(seed: int) -> Dense:
    """A network whose outputs are near ties or ties: twins, one of which may be off by one bit of a
    weight."""
    dense = random_dense(seed, (36, 8, 4))
    last = dense.layers[-1]
    weights, bias = last.weights.copy(), last.bias.copy()
    one, two = (seed % 4, (seed + 1 + seed % 3) % 4)
    weights[:, two], bias[two] = weights[:, one], bias[one]
    bias[[one, two]] += np.float32(9)
    if seed % 3:
        weights[0, two] = np.nextafter(weights[0, two], np.float32(-9 if seed % 2 else 9))
    return Dense((dense.layers[0], Layer(weights, bias, False)))


@pytest.mark.parametrize("kind", ["plain", "tied", "hostile"])
def test_labels_ties_and_values_are_those_of_fractions(kind: str) -> None:
    made = {
        "plain": lambda n: random_dense(n, (36, 9, 8, 3)),
        "tied": tied,
        "hostile": hostile.network,
    }
    ties = 0
    for seed in range(60):
        dense, rng = made[kind](seed), np.random.default_rng(seed)
        images = rng.random((3, dense.inputs), dtype=np.float32)
        images[2] = 0
        outputs = real(dense).evaluator.outputs(images)
        for row, image in enumerate(images):
            exact = fractions(dense, image)
            top = max(exact)
            assert int(labels(outputs)[row]) == exact.index(top)
            assert [out == outputs[row].max() for out in outputs[row]] == [
                value == top for value in exact
            ]
            ties += exact.count(top) > 1
            if kind != "hostile":
                assert np.allclose(
                    outputs[row], [float(value) for value in exact], rtol=2.0**-23, atol=2.0**-21
                )
    assert ties > 0 or kind == "plain"


def test_the_same_alone_and_in_any_batch() -> None:
    dense = tied(1)
    images = np.random.default_rng(0).random((300, 36), dtype=np.float32)
    runs = real(dense).evaluator
    assert np.array_equal(
        runs.outputs(images), np.concatenate([runs.outputs(image[None, :]) for image in images])
    )


def on_reals(number: int, seed: int = 5) -> tuple[Query[RungSet], list[bool]]:
    """A case of the conformance suite with both networks over the reals, and by fractions whether
    each is right on every point."""
    problem = random_case(seed, number).problem
    networks = tuple(
        real(opened.network.dense)
        for opened in problem.networks
        if opened.network.dense is not None
    )
    images = problem.points.images(problem.points.knapsack.masks(0, problem.points.count))
    right = [
        all(
            values.index(max(values)) == problem.label
            for values in (fractions(each.network.dense, i) for i in images)
        )
        for each in networks
        if each.network.dense is not None
    ]
    return Query(problem.points, Label(problem.label), networks, Budget(120), True), right


def test_bounds_contain_the_margins_in_fractions() -> None:
    tightest = 1.0
    for number in range(0, 30):
        problem = random_case(7, number).problem
        if problem.points.count > 40 or not isinstance(
            dense := problem.networks[0].network.dense, Dense
        ):
            continue
        enclosure = enclosure_of(real(dense).network)
        assert enclosure is not None
        found = LadderBounds(enclosure, problem.points, problem.label).margins(
            whole(problem.points)
        )
        for image in problem.points.images(problem.points.knapsack.masks(0, problem.points.count)):
            values = fractions(dense, image)
            lead = [
                values[problem.label] - value
                for n, value in enumerate(values)
                if n != problem.label
            ]
            for low, high, exact in zip(found.low.tolist(), found.high.tolist(), lead, strict=True):
                assert Fraction(low) <= exact <= Fraction(high)
                tightest = min(tightest, float((exact - Fraction(low)) / (1 + abs(exact))))
    assert tightest < 1e-9


def test_the_suite_finds_no_fault_over_the_reals() -> None:
    for number in range(0, 140, 7):
        case = over_reals(random_case(3, number))
        assert all(opened.network.arithmetic is Arithmetic.REAL for opened in case.problem.networks)
        for opened in case.problem.networks:
            assert not list(bound_complaints(opened, case))


@pytest.mark.parametrize("name", ["enumerate", "branch", "bounds", "smt", "milp", "auto"])
def test_verdicts_are_those_of_every_point_in_fractions(name: str) -> None:
    found: Counter[Status] = Counter()
    asked = [on_reals(number) for number in range(40)]
    for problem, right in (
        (problem, right) for problem, right in asked if problem.points.count <= 64
    ):
        decision = decide(problem, solver_named(name))
        for verdict, robust in zip(decision.verdicts, right, strict=True):
            assert verdict.arithmetic is Arithmetic.REAL
            assert not verdict.disagreements
            if verdict.status is not Status.UNKNOWN:
                assert (verdict.status is Status.ROBUST) == robust
            found[verdict.status] += 1
    assert min(found[Status.ROBUST], found[Status.NOT_ROBUST] + found[Status.UNKNOWN]) > 3
    assert name == "bounds" or not found[Status.UNKNOWN]


def twins(sizes: tuple[int, ...]) -> Dense:
    """Two classes lead, the first of them by a millionth, everywhere."""
    dense = random_dense(3, sizes)
    last = dense.layers[-1]
    weights, bias = last.weights.copy(), np.full(sizes[-1], np.float32(-50))
    weights[:, 1], bias[:2] = weights[:, 0], (np.float32(9.000001), 9.0)
    return Dense((*dense.layers[:-1], Layer(weights, bias, False)))


def test_the_reals_decide_what_rounding_leaves_open(tmp_path: Path) -> None:
    """Some float32 evaluation of twins may tie; over the reals the first leads."""
    path = tmp_path / "twins.onnx"
    path.write_bytes(to_onnx(twins((36, 8, 3))))
    asked: dict[str, Any] = {"image_shape": SHAPE, "classes": 3}
    exact, runtime = load_network(path, runtime="real", **asked), load_network(path, **asked)
    assert (exact.arithmetic, runtime.arithmetic) == (Arithmetic.REAL, Arithmetic.FLOAT32)
    rungs = random_case(1, 0).problem.points
    found = {}
    for network in (exact, runtime):
        runs = open_network(network)
        problem = Query(rungs, Label(0), (Opened(network, runs, runs),), Budget(600), False)
        found[network.arithmetic] = decide(problem, solver_named("bounds")).verdicts[0]
    assert found[Arithmetic.REAL].status is Status.ROBUST
    assert found[Arithmetic.FLOAT32].status is Status.UNKNOWN


def test_rounding_is_all_that_is_missing_from_the_enclosure() -> None:
    dense = random_dense(2, (36, 9, 3))
    enclosure = enclosure_of(real(dense).network)
    assert enclosure is not None
    assert enclosure.gap == 0
    for layer in enclosure.layers:
        deviation = layer.deviation(np.ones(len(layer.weights)))
        assert not deviation.rest.any()
        assert not deviation.moved.any()


def test_who_can_be_run_over_the_reals(tmp_path: Path) -> None:
    box = Network("box.onnx", "0" * 64, "onnx", "real", 36, 3, SHAPE)
    with pytest.raises(NetworkError, match=r"box\.onnx has no weights that could be read"):
        open_real(box, 1)
    with pytest.raises(UsageError, match="runtime 'real' cannot run a network of scheme dynamic"):
        relrob.verify(radius=1, step=1, runtime="real", images="0:1")


@pytest.mark.parametrize("region", ["ladder", "linf"])
def test_a_run_says_real_and_its_certificates_hold(tmp_path: Path, region: str) -> None:
    rng = np.random.default_rng(4)
    path = tmp_path / "net.onnx"
    path.write_bytes(to_onnx(twins((784, 16, 10))))
    images = rng.integers(0, 256, (4, 28, 28, 1), dtype=np.uint8)
    network = load_network(path, image_shape=(28, 28, 1), classes=10)
    said = labels(
        open_network(network).outputs(images.reshape(4, -1).astype(np.float32) / np.float32(255))
    )
    np.savez(tmp_path / "data.npz", x_test=images, y_test=said)
    asked: dict[str, Any] = (
        {"radius": "1", "step": "1/64", "counts": False}
        if region == "ladder"
        else {"radius": "1/2000"}
    )
    summary = relrob.verify(
        reference=path,
        dataset=str(tmp_path / "data.npz"),
        images="0:4",
        region=region,
        reference_runtime="real",
        certificates=True,
        workers=1,
        out=tmp_path / "run",
        **asked,
    )
    assert (summary["arithmetic"], summary["reference"]["runtime"]) == ("real", "real")
    assert summary["quantised"]["arithmetic"] == "integer"
    written = sorted((tmp_path / "run" / "certificates").glob("*reference*"))
    reports = [check(certificate) for certificate in written]
    assert all(report.valid for report in reports)
    assert any("for real on real" in line for report in reports for line in report.verified)


def test_what_float64_rounds_away_decides() -> None:
    """Class 1 is 2^60 a + b - 2^60 c = b = 1 on a white image; float64 sums give 0 in most orders,
    and class 0 is 1/2."""
    weights = np.zeros((36, 2), np.float32)
    weights[[0, 1, 20], 1] = 2.0**60, 1.0, -(2.0**60)
    hidden = Layer(np.eye(36, dtype=np.float32), np.zeros(36, np.float32), True)
    dense = Dense((hidden, Layer(weights, np.array([0.5, 0.0], np.float32), False)))
    outputs = real(dense).evaluator.outputs(np.ones((1, 36), np.float32))
    assert outputs.tolist() == [[0.5, 1.0]]


def test_margins_keep_their_sign_below_what_float32_tells_apart() -> None:
    layer = Layer(np.zeros((36, 2), np.float32), np.array([1.0, 1.0], np.float32), False)
    weights = layer.weights.copy()
    weights[0, 1] = np.float32(2.0**-60)
    dense = Dense((Layer(weights, layer.bias, False),))
    outputs = real(dense).evaluator.outputs(np.ones((1, 36), np.float32))
    assert labels(outputs)[0] == 1
    assert margins(outputs, 1)[0] > 0 > margins(outputs, 0)[0]
