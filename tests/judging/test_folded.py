"""The folded network against plain forward passes: margins, labels, and the promise of `close`."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.judging.folded import FoldedDense
from relrob.networks.evaluator import labels, margins
from relrob.queries.properties import Label
from relrob.regions.hulls import knapsack_support
from relrob.regions.ladder import RungSet, rung_set
from tests.support import NumpyEvaluator, random_dense


def real_forward(dense: Dense, images: Floats) -> Doubles:
    """Outputs in float64: (n, d) -> (n, classes)."""
    values = images.astype(np.float64)
    for layer in dense.layers:
        values = values @ layer.weights.astype(np.float64) + layer.bias
        values = np.maximum(values, 0) if layer.relu else values
    return values


def margins_of(outputs: Doubles, label: int) -> Doubles:
    """Margin of `label` in float64: (n, classes) -> (n,)."""
    return np.asarray(outputs[:, label] - np.delete(outputs, label, axis=1).max(axis=1))


def shuffled_forward(dense: Dense, image: Floats, rng: np.random.Generator) -> Floats:
    """One float32 evaluation that adds terms one by one in a random order: (d,) -> (classes,)."""
    values = image
    for layer in dense.layers:
        order = rng.permutation(len(values) + 1)
        terms = np.concatenate([values[:, None] * layer.weights, layer.bias[None, :]])[order]
        total = np.zeros(terms.shape[1], dtype=np.float32)
        for term in terms:
            total = total + term
        values = np.maximum(total, np.float32(0)) if layer.relu else total
    return np.asarray(values, dtype=np.float32)


def ladder(seed: int, radius: str, step: str, features: int = 8, axes: int = 3) -> RungSet:
    image = np.random.default_rng(seed).integers(0, 256, size=(6, 6), dtype=np.uint8)
    return rung_set(Ladder(Fraction(radius), Fraction(step), features, axes), image)


@settings(max_examples=40)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(36, 4), (36, 9, 4), (36, 16, 12, 5), (36, 10, 9, 8, 3), (36, 7, 2)]),
    st.sampled_from([("3", "1/4"), ("1", "1/16"), ("9", "1"), ("1/100", "1/2")]),
)
def test_margins_are_within_the_stated_error(
    seed: int, sizes: tuple[int, ...], region: tuple[str, str]
) -> None:
    dense, rungs = random_dense(seed, sizes), ladder(seed, *region)
    masks = rungs.knapsack.masks(0, rungs.count)
    images = rungs.images(masks)
    truth = real_forward(dense, images)
    for label in range(dense.classes):
        folded = FoldedDense(dense, rungs, Label(label))
        judged = folded.judge(masks)
        assert np.abs(judged.margins - margins_of(truth, label)).max() <= folded.threshold
        sure = ~judged.close
        for outputs in (truth, NumpyEvaluator(dense).outputs(images)):
            assert np.array_equal(judged.labels[sure], np.argmax(outputs, axis=1)[sure])


def test_certain_labels_hold_in_any_order_of_summation() -> None:
    rng = np.random.default_rng(7)
    for seed in range(6):
        dense, rungs = random_dense(seed, (36, 24, 24, 4)), ladder(seed, "4", "1/2")
        masks = rungs.knapsack.masks(0, rungs.count)
        judged = FoldedDense(dense, rungs, Label(1)).judge(masks)
        images = rungs.images(masks)
        for number in np.argsort(np.abs(judged.margins))[:40]:
            said = int(np.argmax(shuffled_forward(dense, images[number], rng)))
            assert judged.close[number] or said == judged.labels[number]


def test_a_tie_is_thin() -> None:
    """Two equal rows of weights: every margin against the twin is 0 and must be left to the
    runtime."""
    dense = random_dense(3, (36, 8, 3))
    last = dense.layers[-1]
    weights, bias = last.weights.copy(), last.bias.copy()
    weights[:, 1], bias[1] = weights[:, 0], bias[0]
    twin = Dense((*dense.layers[:-1], Layer(weights, bias, relu=False)))
    rungs = ladder(0, "3", "1/4")
    masks = rungs.knapsack.masks(0, rungs.count)
    for label in (0, 1):
        judged = FoldedDense(twin, rungs, Label(label)).judge(masks)
        ahead = (
            real_forward(twin, rungs.images(masks))[:, label]
            > real_forward(twin, rungs.images(masks))[:, 2]
        )
        assert judged.close[ahead].all()


def test_neurons_at_zero_for_ever_and_biases_only() -> None:
    """All-zero weights, dead neurons and pre-activations of exactly 0."""
    first = Layer(
        np.zeros((36, 5), np.float32), np.array([0, -1, 1, 0, -0.0], np.float32), relu=True
    )
    last = Layer(np.eye(5, 2, dtype=np.float32), np.array([0.5, 0.0], np.float32), relu=False)
    rungs = ladder(1, "3", "1/4")
    judged = FoldedDense(Dense((first, last)), rungs, Label(0)).judge(
        rungs.knapsack.masks(0, rungs.count)
    )
    assert np.allclose(judged.margins, 0.5)
    assert not judged.close.any()
    assert FoldedDense(Dense((first, last)), rungs, Label(0)).neurons == 0


def test_folding_removes_most_neurons_on_a_small_region() -> None:
    dense = random_dense(5, (36, 64, 64, 4))
    assert (
        FoldedDense(dense, ladder(5, "1/2", "1/16"), Label(0)).neurons
        < FoldedDense(dense, ladder(5, "9", "1"), Label(0)).neurons
        < 128
    )


def test_overflowing_weights_leave_everything_to_the_runtime() -> None:
    huge = Layer(np.full((36, 4), 3e38, np.float32), np.zeros(4, np.float32), relu=True)
    last = Layer(np.full((4, 2), 3e38, np.float32), np.zeros(2, np.float32), relu=False)
    rungs = ladder(1, "3", "1/4")
    with np.errstate(all="ignore"):
        judged = FoldedDense(Dense((huge, last)), rungs, Label(0)).judge(
            rungs.knapsack.masks(0, rungs.count)
        )
    assert judged.close.all()


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 9))
def test_hull_maximum_bounds_every_point_and_is_attained(seed: int, features: int) -> None:
    """Against linear programming by SciPy."""
    from scipy.optimize import linprog

    rng = np.random.default_rng(seed)
    gains, costs, budget = (
        rng.normal(size=(features, 1)),
        rng.uniform(0.1, 2, features),
        float(rng.uniform(0.1, 4)),
    )
    best = linprog(-gains[:, 0], A_ub=costs[None, :], b_ub=[budget], bounds=[(0, 1)] * features)
    assert knapsack_support(gains, costs, budget)[0] == pytest.approx(-best.fun, abs=1e-8)


def test_labels_are_first_maxima() -> None:
    outputs = np.array([[1, 1, 0], [0, 2, 2], [3, 1, 2]], np.float32)
    assert labels(outputs).tolist() == [0, 1, 0]
    assert margins(outputs, 1).tolist() == [0.0, 0.0, -2.0]
