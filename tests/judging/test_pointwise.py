"""Errors of margins at a point: against evaluations that err as much as float32 may, each rounding
where it hurts most."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.judging.folded import FoldedDense
from relrob.judging.pointwise import Hidden, MarginErrors, settled
from relrob.queries.properties import Label
from relrob.regions.ladder import RungSet, rung_set
from tests.support import random_dense

U = 2.0**-24
SIZES = [(12, 8, 6, 3), (12, 9, 4), (12, 3), (12, 7, 6, 5, 4)]


def spoilt(dense: Dense, image: Any, pull: Any, rng: np.random.Generator) -> Any:
    """Logits of an evaluation whose sums are all off by (n + 1) u |w|.|x|, as any order of
    summation allows, in the directions that move `pull` of the logits down; now and then in others.
    """
    weights = [layer.weights.astype(np.float64) for layer in dense.layers]
    biases = [layer.bias.astype(np.float64) for layer in dense.layers]
    exact, states = image.astype(np.float64), []
    for weight, bias, layer in zip(weights, biases, dense.layers, strict=True):
        exact = exact @ weight + bias
        states.append(exact > 0)
        exact = np.maximum(exact, 0) if layer.relu else exact
    down, signs = pull, []
    for number in range(len(weights) - 1, -1, -1):
        signs.append(-np.sign(down))
        if number:
            down = (weights[number] @ down) * (
                states[number - 1] | (rng.random(len(weights[number])) < 0.3)
            )
    value = image.astype(np.float64)
    for weight, bias, layer, sign in zip(weights, biases, dense.layers, signs[::-1], strict=True):
        size = np.abs(value) @ np.abs(weight) + np.abs(bias)
        flipped = np.where(rng.random(len(bias)) < 0.1, -1.0, 1.0) * sign
        value = value @ weight + bias + flipped * (len(weight) + 1) * U * size
        value = np.maximum(value, 0) if layer.relu else value
    return value


def rungs_of(seed: int) -> RungSet:
    """Twelve pixels that move, and two alike that do not: they are nearest to the mean."""
    radius, step = [("9/4", "1/2"), ("1", "1/8"), ("4", "1"), ("1/2", "1/64")][seed % 4]
    shown = np.random.default_rng(seed).integers(0, 256, size=14, dtype=np.uint8)
    shown[12:] = round(float(shown[:12].mean()))
    rungs = rung_set(Ladder(Fraction(radius), Fraction(step), 4, 3), shown.reshape(7, 2))
    assert not np.isin([12, 13], rungs.axes).any()
    return rungs


def strained(seed: int, sizes: tuple[int, ...]) -> Dense:
    """A random network where two equal inputs of each layer come with large weights that undo each
    other: sums are small and the magnitudes that they are made of are not, so they round badly.
    Hidden layers have the two as neurons that are always 1."""
    plain, layers = random_dense(seed, sizes), []
    for number, layer in enumerate(plain.layers):
        strain = 2.0 ** (9 - 3 * (number > 0) + seed % 7)
        signs = np.random.default_rng(seed + number).integers(-1, 2, size=len(layer.bias))
        pair = (strain * signs).astype(np.float32)
        weights, bias = np.concatenate([layer.weights, pair[None], -pair[None]]), layer.bias
        if layer.relu:
            weights = np.concatenate([weights, np.zeros((len(weights), 2), np.float32)], axis=1)
            bias = np.append(bias, np.ones(2, np.float32))
        layers.append(Layer(weights, bias, relu=layer.relu))
    return Dense(tuple(layers))


def pulls(label: int, classes: int) -> list[Any]:
    """Label against each other class, and those against each other."""
    found = []
    for one in range(classes):
        for two in range(classes):
            if one != two and (one == label or two != label):
                found.append(np.eye(classes)[one] - np.eye(classes)[two])
    return found


def centred(dense: Dense, rungs: RungSet, masks: Any, label: int, share: float) -> Dense:
    """The same network with the label's bias so that a share of its margins is below 0."""
    value = rungs.images(masks).astype(np.float64)
    for layer in dense.layers:
        value = value @ layer.weights.astype(np.float64) + layer.bias
        value = np.maximum(value, 0) if layer.relu else value
    margins = value[:, label] - np.delete(value, label, axis=1).max(axis=1)
    last = dense.layers[-1]
    bias = last.bias.copy()
    bias[label] -= np.float32(np.quantile(margins, share))
    return Dense((*dense.layers[:-1], type(last)(last.weights, bias, relu=False)))


@pytest.mark.parametrize("sizes", SIZES)
def test_what_is_certain_stands_however_sums_round(sizes: tuple[int, ...]) -> None:
    certain = close = turned = sharper = 0
    for seed in range(80):
        rungs, rng = rungs_of(seed), np.random.default_rng(seed)
        masks = rungs.knapsack.masks(0, rungs.count)
        label = seed % sizes[-1]
        dense = centred(
            strained(seed, sizes), rungs, masks, label, [0.0, 0.3, 0.6, 1.0][seed // 4 % 4]
        )
        fold = FoldedDense(dense, rungs, Label(label))
        judged = fold.judge(masks)
        for mask, said, margin, left in zip(
            masks, judged.labels, judged.margins, judged.close, strict=True
        ):
            image = rungs.images(mask[None, :])[0]
            labels = {
                int(spoilt(dense, image, pull, rng).argmax()) for pull in pulls(label, sizes[-1])
            }
            turned, close, certain = (
                turned + (len(labels) > 1),
                close + bool(left),
                certain + (not left),
            )
            sharper += bool(not left and abs(margin) < fold.threshold)
            assert left or labels == {said}
    assert certain > 100 and close > 100 and turned > 50 and (sharper > 20 or len(sizes) == 2)


def test_margins_are_settled_by_their_own_errors() -> None:
    margins = np.array(
        [[3.0, 4.0], [3.0, 0.5], [-3.0, 4.0], [-3.0, -2.5], [-3.0, 0.5], [-0.5, 4.0]]
    )
    right, wrong = settled(margins, np.array([1.0, 0.75]))
    assert right.tolist() == [True, False, False, False, False, False]
    assert wrong.tolist() == [False, False, True, False, True, False]
    right, wrong = settled(margins[:2], np.array([[2.5, 0.5], [2.5, 0.25]]))
    assert right.tolist() == [True, True]
    assert not settled(np.full((1, 2), np.nan), np.zeros(2))[0].any()
    assert not settled(np.full((1, 2), 9.0), np.full(2, np.inf))[0].any()


def hidden_of(low: float, high: float, runtime: float, own: float, kept: bool) -> Hidden:
    """A layer of one neuron."""
    where, each = np.arange(int(kept)), [np.array([value]) for value in (low, high, runtime, own)]
    return Hidden(each[0], each[1], each[2], each[3], where, np.full(len(where), 2.0**-5))


def errors_of(*layers: Hidden) -> MarginErrors:
    """Neurons in a row, with weights 4, ..., and two logits of weights 3 and 1; the last layer
    makes an error of 1/2."""
    one, four = np.zeros(1, np.float32), np.full((1, 1), 4, np.float32)
    last = Layer(np.array([[3, 1]], np.float32), np.zeros(2, np.float32), relu=False)
    dense = Dense((*(Layer(four, one, relu=True) for _ in layers), last))
    return MarginErrors(dense, list(layers), np.array([0.5]), 0)


def test_a_neuron_errs_where_it_may_be_on() -> None:
    """By hand: its error 1/4 passes by 3 - 1 where it is above -(1/4 + 1/32); below -1/4 all over
    the ladder it errs by nothing."""
    errors = errors_of(hidden_of(-1, 1, 0.25, 0.25, True))
    said = errors.at([np.array([[1.0], [0.0], [-0.28125], [-0.28124], [-0.5], [np.nan]])])
    assert said[:, 0] == pytest.approx([1.0, 1.0, 0.5, 1.0, 0.5, 1.0], rel=1e-6)
    for low, high, expected in [
        (-1, -0.25, 0.5),
        (-1, -0.125, 0.75),
        (-1, 0.0, 1.0),
        (0.0, 1, 1.0),
        (2, 3, 1.0),
    ]:
        layer = hidden_of(low, high, 0.25, 0.25, False)
        assert errors_of(layer).at([np.empty((1, 0))]) == pytest.approx([expected], rel=1e-6)


def test_what_a_layer_makes_and_what_passes_through_it() -> None:
    """By hand, with an error of 1/16 before it, 4 x 1/16 passed on, and 1/8 made: 3/8 in all."""
    before, none = hidden_of(2, 3, 2.0**-4, 2.0**-4, False), np.empty((1, 0))
    surely_on = hidden_of(0.375, 3, 0.375, 0.125, False)
    assert errors_of(before, surely_on).at([none, none]) == pytest.approx(
        [0.5 + 2 * 0.125 + 8 * 2.0**-4], rel=1e-6
    )
    perhaps = hidden_of(0.25, 3, 0.5, 0.125, False)
    assert errors_of(before, perhaps).at([none, none]) == pytest.approx([0.5 + 2 * 0.5], rel=1e-6)
    switching = hidden_of(-1, 3, 0.375, 0.125, True)
    at = errors_of(before, switching).at([np.empty((2, 0)), np.array([[1.0], [-1.0]])])
    assert at[:, 0] == pytest.approx([0.5 + 2 * 0.375, 0.5], rel=1e-6)
