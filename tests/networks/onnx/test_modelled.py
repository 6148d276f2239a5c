"""Files that do more than dense layers: the model of them contains what onnxruntime computes on the
file, optimised or not.

The judge is onnxruntime, which runs the bytes of the file without the library.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.judging.folded import FoldedDense
from relrob.networks.enclosure import float32_enclosure
from relrob.networks.open import open_network
from relrob.queries.properties import Label
from relrob.regions.ladder import rung_set
from tests.chained_onnx import (
    CLASSES,
    CORNERS,
    HOSTILE,
    INPUTS,
    ORDINARY,
    SHAPE,
    Writer,
    chain,
    loaded,
    outside,
    runs,
)


@pytest.mark.parametrize("ends", [ORDINARY, HOSTILE], ids=["ordinary", "hostile"])
def test_the_model_contains_what_the_file_computes(
    ends: tuple[float, float], tmp_path: Path
) -> None:
    modelled = 0
    for seed in range(120):
        data = chain(seed, ends)
        network = loaded(data, tmp_path)
        if network.dense is None:
            assert "between a ReLU and the next" in network.black_box or "2^" in network.black_box
            continue
        modelled += network.folded
        assert outside(data, network, seed) <= 0, f"seed {seed}"
    assert modelled > 80


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), exponent=st.floats(0, 12))
def test_the_model_contains_what_any_file_computes(
    seed: int, exponent: float, tmp_path_factory: Any
) -> None:
    data = chain(seed, (10.0**-exponent, 10.0**exponent))
    network = loaded(data, tmp_path_factory.mktemp("any"))
    if network.dense is not None:
        assert outside(data, network, seed) <= 0


@pytest.mark.parametrize("ends", [ORDINARY, HOSTILE], ids=["ordinary", "hostile"])
def test_labels_that_are_certain_are_those_of_the_file(
    ends: tuple[float, float], tmp_path: Path
) -> None:
    ladder = Ladder(Fraction(3, 2), Fraction(1, 4), INPUTS, 1)
    certain = seen = 0
    for seed in range(80):
        data = chain(seed, ends)
        network = loaded(data, tmp_path)
        if network.dense is None:
            continue
        pixels = np.random.default_rng(seed).integers(0, 256, SHAPE).astype(np.uint8)
        rungs = rung_set(ladder, pixels)
        masks = rungs.knapsack.masks(0, rungs.count)
        judged = FoldedDense(network.dense, rungs, Label(seed % CLASSES)).judge(masks)
        for run in runs(data):
            said = run.run(None, {"x": rungs.images(masks)})[0].argmax(axis=1)
            assert np.array_equal(
                said[~judged.close] == seed % CLASSES,
                judged.labels[~judged.close] == seed % CLASSES,
            )
        certain, seen = certain + int((~judged.close).sum()), seen + len(masks)
    assert certain > seen / 20


def two_steps(first: str, second: str, constant: float, where: str, seed: int = 3) -> bytes:
    """A constant away and back again, before or after the one dense layer."""
    writer = Writer(seed, ORDINARY)
    value = np.full(INPUTS if where == "before" else CLASSES, constant, np.float32)
    if where == "after":
        writer.dense(CLASSES)
    for kind in (first, second):
        writer.add(kind, value)
    if where == "before":
        writer.dense(CLASSES)
    return writer.finished()


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize(
    ("first", "second", "constant"),
    [("Sub", "Add", 1e8), ("Add", "Sub", 1.5 * 2**23), ("Sub", "Add", 1e3)],
)
def test_a_constant_away_and_back_rounds_as_the_file_does(
    first: str, second: str, constant: float, where: str, tmp_path: Path
) -> None:
    """The values that the file loses are in the error; the file itself, to the bit, is what
    runs."""
    data = two_steps(first, second, constant, where)
    network = loaded(data, tmp_path)
    assert (network.folded, network.black_box, network.conversion) == (True, "", "")
    images = np.concatenate(
        [CORNERS, np.random.default_rng(0).random((50, INPUTS), dtype=np.float32)]
    )
    optimised = runs(data)[0].run(None, {"x": images})[0]
    assert np.array_equal(open_network(network, batch=len(images)).outputs(images), optimised)
    assert network.dense is not None
    layer = network.dense.layers[0]
    real = images.astype(np.float64) @ layer.weights + layer.bias
    lost = np.abs(optimised - real).max()
    assert lost > 1e-6 * constant / 100
    assert outside(data, network, 1) <= 0


@pytest.mark.parametrize("where", ["before", "after"])
def test_labels_that_the_file_loses_in_its_steps_are_not_certain(
    where: str, tmp_path: Path
) -> None:
    """Away by 1e8 and back leaves no pixel: the label of the weights alone is not the file's."""
    ladder, lost = Ladder(Fraction(3, 2), Fraction(1, 4), INPUTS, 1), 0
    for seed in range(12):
        data = two_steps("Sub", "Add", 1e8, where, seed)
        network = loaded(data, tmp_path)
        assert network.dense is not None
        alone = Dense(
            tuple(Layer(a.weights, a.bias, a.relu, a.extra + 1) for a in network.dense.layers)
        )
        rungs = rung_set(
            ladder, np.random.default_rng(seed).integers(0, 256, SHAPE).astype(np.uint8)
        )
        masks = rungs.knapsack.masks(0, rungs.count)
        said = runs(data)[1].run(None, {"x": rungs.images(masks)})[0].argmax(axis=1)
        for label in range(CLASSES):
            believed, judged = (
                FoldedDense(dense, rungs, Label(label)).judge(masks)
                for dense in (alone, network.dense)
            )
            lost += int((((said == label) != (believed.labels == label)) & ~believed.close).sum())
            assert not (((said == label) != (judged.labels == label)) & ~judged.close).any()
    assert lost > 100


def far(value: np.float32, rng: np.random.Generator) -> np.float32:
    """A constant near 1 whose product with the value rounds as far up as any of some hundred."""
    tried = (1 + rng.uniform(-0.02, 0.02, 400)).astype(np.float32)
    exact = tried.astype(np.float64) * float(value)
    return np.float32(tried[((tried * value).astype(np.float64) / exact).argmax()])


def all_up(where: str) -> bytes:
    """Sixty products that all round up for a white image: the error of each is in the last
    output."""
    rng, writer = np.random.default_rng(2), Writer(4, ORDINARY)
    weights, value = np.zeros((INPUTS, CLASSES), np.float32), np.float32(1)
    weights[0] = 1
    if where == "after":
        writer.add("MatMul", weights)
        writer.width = CLASSES
    for _ in range(60):
        constant = far(value, rng)
        writer.add("Mul", np.asarray(constant))
        value = np.float32(value * constant)
    if where == "before":
        writer.add("MatMul", weights)
    return writer.finished()


@pytest.mark.parametrize("where", ["before", "after"])
def test_every_rounding_of_a_step_counts(where: str, tmp_path: Path) -> None:
    data = all_up(where)
    network = loaded(data, tmp_path)
    assert network.dense is not None
    layer, white = network.dense.layers[0], np.ones((1, INPUTS), np.float32)
    lost = (
        runs(data)[1].run(None, {"x": white})[0].astype(np.float64)
        / (white @ layer.weights + layer.bias)
        - 1
    )
    assert lost.max() > (INPUTS + 2) * 2.0**-24, "more than a plain layer may lose"
    assert outside(data, network, 0) <= 0


def test_two_layers_in_a_row_that_cancel_lose_what_the_first_lost(tmp_path: Path) -> None:
    rng, writer = np.random.default_rng(8), Writer(8, ORDINARY)
    first = rng.random((INPUTS, 4), dtype=np.float32)
    second = np.zeros((4, CLASSES), np.float32)
    first[:, 1], second[:2, 0] = first[:, 0], (1e6, -1e6)
    first[:, 3] = np.nextafter(first[:, 2], np.float32(2))
    second[2:, 1] = (3e5, -3e5)
    writer.add("MatMul", first)
    writer.add("MatMul", second)
    data = writer.finished()
    network = loaded(data, tmp_path)
    assert network.dense is not None
    assert len(network.dense.layers) == 1
    layer, images = network.dense.layers[0], rng.random((400, INPUTS), dtype=np.float32)
    lost = np.abs(
        runs(data)[1].run(None, {"x": images})[0] - (images @ layer.weights + layer.bias)
    ).max()
    cancelled = Layer(layer.weights, layer.bias, False, layer.extra)
    known = (
        float32_enclosure(Dense((cancelled,)))
        .layers[0]
        .deviation(np.ones(INPUTS))
        .total(np.abs(layer.weights))
        .max()
    )
    assert lost > known, "more than the product of the two matrices tells"
    assert outside(data, network, 3) <= 0


def test_what_falls_below_the_normal_numbers_is_in_the_error(tmp_path: Path) -> None:
    writer = Writer(9, ORDINARY)
    writer.add("Mul", np.asarray(1e-25, np.float32))
    writer.add("Mul", np.asarray(1e-19, np.float32))
    writer.add("MatMul", np.full((INPUTS, CLASSES), 1e28, np.float32))
    data = writer.finished()
    network = loaded(data, tmp_path)
    assert network.dense is not None
    assert outside(data, network, 3) <= 0


UNMODELLED: dict[str, tuple[str, NDArray[Any]]] = {
    "divided by 0": ("Div", np.asarray(0, np.float32)),
    "beyond 2^60": ("Mul", np.asarray(1e30, np.float32)),
    "a NaN": ("Add", np.asarray(np.nan, np.float32)),
    "infinite": ("Sub", np.asarray(np.inf, np.float32)),
    "one an image": ("Add", np.zeros((2, INPUTS), np.float32)),
    "of another type": ("Add", np.zeros(INPUTS, np.float64)),
}


@pytest.mark.parametrize("name", UNMODELLED)
def test_other_constants_make_a_black_box_with_its_reason(name: str, tmp_path: Path) -> None:
    writer = Writer(1, ORDINARY)
    writer.add(*UNMODELLED[name])
    writer.dense(CLASSES)
    network = loaded(writer.finished(), tmp_path)
    assert network.dense is None
    assert network.black_box.startswith("node 1 ")
    assert "constant" in network.black_box or "weights of type" in network.black_box


def test_the_error_grows_with_the_steps_and_stays_near_what_is_needed(tmp_path: Path) -> None:
    """A normalisation of ordinary pixels costs little: its error is at most some times that of the
    layer alone."""
    writer = Writer(5, ORDINARY)
    writer.add("Sub", np.full(INPUTS, 0.5, np.float32))
    writer.add("Div", np.full(INPUTS, 0.25, np.float32))
    writer.dense(CLASSES)
    network = loaded(writer.finished(), tmp_path)
    assert network.dense is not None
    layer = float32_enclosure(network.dense).layers[0]
    alone = loaded(one_layer(), tmp_path)
    assert alone.dense is not None
    error = layer.deviation(np.ones(INPUTS)).total(layer.size).max()
    plain = float32_enclosure(alone.dense).layers[0]
    assert error < 30 * plain.deviation(np.ones(INPUTS)).total(plain.size).max()


def one_layer() -> bytes:
    writer = Writer(5, ORDINARY)
    writer.dense(CLASSES)
    return writer.finished()
