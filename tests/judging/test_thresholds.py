"""The threshold of folded arithmetic against Higham's bound, derived once more, and what happens on
either side of it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.judging.folded import FoldedDense
from relrob.queries.properties import Label
from relrob.queries.solver import Solver
from relrob.regions.ladder import RungSet, rung_set
from relrob_solvers.branch_ladder import Branch
from relrob_solvers.enumerate_ladder import Enumerate
from tests import hostile
from tests.hostile import ONE_POINT, WHITE, linear
from tests.support import random_dense

Run = Callable[[Floats], Floats]
SOLVERS: list[Solver[RungSet]] = [Enumerate(), Branch(leaf=1), Branch(leaf=4)]


def higham(dense: Dense, images: Floats) -> tuple[NDArray[Any], NDArray[Any]]:
    """Real outputs, and the error of any float32 evaluation: (n, classes) each, float64, point by
    point.

    |fl(w.x + b) - (w.x + b)| <= g (|w|.|x| + |b|), g = m u / (1 - m u) for m = n + 1 roundings of a
    term (Higham, Sec. 3.1). x itself is off by the errors of the layer before.
    """
    value, error = images.astype(np.float64), np.zeros(images.shape)
    for layer in dense.layers:
        weights, bias = layer.weights.astype(np.float64), layer.bias.astype(np.float64)
        terms = (len(weights) + 1) * 2.0**-24
        size = (np.abs(value) + error) @ np.abs(weights) + np.abs(bias)
        error = error @ np.abs(weights) + terms / (1 - terms) * size
        value = value @ weights + bias
        if layer.relu:
            value, error = np.maximum(value, 0), np.where(value + error > 0, error, 0)
    return value, error


def coefficient_error(dense: Dense, rungs: RungSet, label: int, other: int) -> float:
    """Error of adding up the clean margin and the change of each moved feature in float32, for a
    network of one layer: each coefficient is rounded once and takes part in as many sums as there
    are features."""
    clean = higham(dense, rungs.base[None, :])[0][0]
    moved = higham(dense, rungs.images(np.eye(rungs.features, dtype=np.bool_)))[0]
    changes = moved - clean
    sizes = np.abs(changes[:, label] - changes[:, other]).sum() + abs(clean[label] - clean[other])
    return float((rungs.features + 1) * 2.0**-24 * sizes)


@pytest.mark.parametrize("sizes", [(12, 3), (12, 6, 3), (12, 6, 5, 2)])
def test_the_threshold_is_at_least_highams_bound_and_its_own_error(sizes: tuple[int, ...]) -> None:
    """Both derived here again: the runtime's error at each point, and that of evaluating the folded
    coefficients."""
    for seed in range(40):
        dense, shown = random_dense(seed, sizes), hostile.image(3 * seed + 1)
        rungs = rung_set(Ladder(Fraction(9, 4), Fraction(1, 2), 4, 3), shown)
        _, error = higham(dense, rungs.images(rungs.knapsack.masks(0, rungs.count)))
        for label in range(dense.classes):
            others = [other for other in range(dense.classes) if other != label]
            runtime = [float((error[:, label] + error[:, other]).max()) for other in others]
            threshold = FoldedDense(dense, rungs, Label(label)).threshold
            assert threshold >= max(runtime)
            if len(sizes) == 2:
                own = [coefficient_error(dense, rungs, label, other) for other in others]
                least = max(one + two for one, two in zip(runtime, own, strict=True))
                assert least <= threshold <= 2 * least


def test_the_error_of_a_kept_neuron_is_carried_on() -> None:
    """One hidden neuron that changes sign: its own error, derived again, reaches the margin through
    the second layer."""
    seen = 0
    for seed in range(80):
        dense, shown = random_dense(seed, (12, 1, 2)), hostile.image(3 * seed + 1)
        rungs = rung_set(Ladder(Fraction(9), Fraction(1, 2), 12, 1), shown)
        fold = FoldedDense(dense, rungs, Label(0))
        if fold.neurons != 1:
            continue
        weights, zero = dense.layers[0].weights, np.zeros((12, 1), np.float32)
        bias = np.append(dense.layers[0].bias, np.float32(0))
        only = Dense((Layer(np.concatenate([weights, zero], axis=1), bias, relu=False),))
        _, error = higham(dense, rungs.images(rungs.knapsack.masks(0, rungs.count)))
        through = abs(float(dense.layers[1].weights[0, 0]) - float(dense.layers[1].weights[0, 1]))
        assert fold.threshold >= error.sum(axis=1).max() + through * coefficient_error(
            only, rungs, 0, 1
        )
        seen += 1
    assert seen > 10


@pytest.mark.parametrize("part", [0.6, 0.9, -0.6, -0.9, 1.2, -1.2])
def test_thin_is_up_to_the_threshold(part: float) -> None:
    """A margin is moved by its bias to a part of the threshold."""
    rungs = rung_set(ONE_POINT, WHITE)
    threshold = FoldedDense(linear([[0.5, 0.5]] * 8, [0, 0]), rungs, Label(0)).threshold
    dense = linear([[0.5, 0.5]] * 8, [part * threshold, 0])
    judged = FoldedDense(dense, rungs, Label(0)).judge(rungs.knapsack.masks(0, 1))
    assert judged.margins[0] == pytest.approx(part * threshold, rel=1e-3)
    assert judged.close[0] == (abs(part) < 1)
