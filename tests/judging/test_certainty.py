"""Labels that folded arithmetic calls certain, on hostile networks, images and radii: they hold
over the reals, in any order of summation, and on onnxruntime itself."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.judging import folded
from relrob.judging.folded import FoldedDense
from relrob.queries.properties import Label
from relrob.regions.ladder import rung_set
from tests import hostile
from tests.hostile import ONE_POINT, WHITE, said, session


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certainty") / "network.onnx"


@settings(max_examples=250)
@given(seed=st.integers(0, 10**6), softmax=st.booleans())
def test_certain_labels_hold_over_the_reals_in_any_order_and_on_the_runtime(
    file: Path, seed: int, softmax: bool
) -> None:
    dense, shown = hostile.network(seed, softmax), hostile.image(seed)
    rungs = rung_set(hostile.ladder(seed, shown), shown)
    masks = rungs.knapsack.masks(0, rungs.count)
    images = rungs.images(masks)
    run = session(hostile.write_onnx(dense, file))
    rng = np.random.default_rng(seed)
    answers = [said(hostile.float32_logits(dense, images, rng)) for _ in range(4)]
    answers += [said(run(images)), np.array([int(said(run(one[None, :]))[0]) for one in images])]
    exact = hostile.exact_logits(dense, images)
    for label in range(dense.classes):
        fold = FoldedDense(dense, rungs, Label(label))
        judged = fold.judge(masks)
        sure = ~judged.close
        for answer in answers:
            assert np.array_equal(judged.labels[sure], answer[sure])
        for row, found in zip(exact[sure], judged.labels[sure], strict=True):
            assert all(row[found] > other for place, other in enumerate(row) if place != found)
        if np.isfinite(fold.threshold):
            for real, margin in zip(
                hostile.exact_margins(dense, images, label), judged.margins, strict=True
            ):
                assert abs(Fraction(float(margin)) - real) <= Fraction(fold.threshold)


def test_hostile_networks_are_not_merely_all_thin() -> None:
    """The attack above has something to attack: certain points, thin ones, and networks that may
    overflow."""
    certain = close = infinite = 0
    for seed in range(200):
        shown = hostile.image(seed)
        rungs = rung_set(hostile.ladder(seed, shown), shown)
        fold = FoldedDense(hostile.network(seed), rungs, Label(0))
        judged = fold.judge(rungs.knapsack.masks(0, rungs.count))
        certain, close = certain + int((~judged.close).sum()), close + int(judged.close.sum())
        infinite += fold.threshold == float("inf")
    assert certain > 500
    assert close > 200
    assert 5 < infinite < 100


def test_bounds_of_the_first_layer_hold_over_the_reals_where_float64_cancels() -> None:
    """+-1e8 on equal pixels that stay: the small weights of the pixels that move drown in the
    rounding of the sum."""
    drowned = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        weights = (rng.standard_normal((12, 4)) * 1e-6).astype(np.float32)
        weights[2:7] = rng.choice([1e8, 3.3e7], (5, 4))
        weights[7:] = -weights[2:7]
        shown = np.full(hostile.SHAPE, 85, np.uint8)
        shown.reshape(-1)[:2] = 255
        rungs = rung_set(Ladder(Fraction(1), Fraction(1, 3), 2, 1), shown)
        assert sorted(rungs.axes.ravel()) == [0, 1]
        dense = Dense((Layer(weights, np.zeros(4, np.float32), relu=False),))
        basis = folded._Basis(np.ones(2), np.zeros(2))
        first = folded._first(dense, rungs, basis, folded._costs(rungs))
        for mask in rungs.knapsack.masks(0, rungs.count):
            exact = hostile.exact_logits(dense, rungs.images(mask[None, :]))[0]
            for value, low, high in zip(exact, first.low, first.high, strict=True):
                assert Fraction(low) <= Fraction(value, 2**298) <= Fraction(high)
            drowned += bool((abs(first.constant - exact / 2**298) > 1e-9).any())
    assert drowned > 10


def test_coefficients_that_overflow_prove_nothing() -> None:
    """A neuron of size 1e-30, times 1e20 twice: harmless on the runtime, infinite as one folded
    coefficient."""
    tiny = np.zeros((12, 1), np.float32)
    tiny[:2, 0] = [-1e-30, 1e-30]
    first = Layer(tiny, np.zeros(1, np.float32), relu=True)
    second = Layer(np.full((1, 1), 1e20, np.float32), np.ones(1, np.float32), relu=True)
    last = Layer(np.array([[1e20, 0]], np.float32), np.array([0, 1e30], np.float32), relu=False)
    shown = np.zeros(hostile.SHAPE, np.uint8)
    shown.reshape(-1)[:2] = 255
    rungs = rung_set(Ladder(Fraction(1), Fraction(1, 2), 2, 1), shown)
    judged = FoldedDense(Dense((first, second, last)), rungs, Label(0)).judge(
        rungs.knapsack.masks(0, rungs.count)
    )
    assert (judged.close | (judged.labels == 1)).all()


def test_flushed_subnormal_weights_of_large_activations_are_within_the_error() -> None:
    """A weight of 2^-127 counts as 0 on a runtime that flushes; fed 2^100 it decides the label."""
    grow = np.zeros((12, 1), np.float32)
    grow[0] = 2.0**100
    shrink = np.array([[2.0**-127, 0]], np.float32)
    layers = (
        Layer(grow, np.zeros(1, np.float32), True),
        Layer(shrink, np.zeros(2, np.float32), False),
    )
    rungs = rung_set(ONE_POINT, WHITE)
    judged = FoldedDense(Dense(layers), rungs, Label(0)).judge(rungs.knapsack.masks(0, 1))
    assert judged.margins[0] == np.float32(2.0**-27)
    assert judged.close[0]
