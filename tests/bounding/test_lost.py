"""Bounds against a network that errs as much as its enclosure allows: each input moved by a step,
each sum off by its rounding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from relrob.bounding.ladder import LadderBounds
from relrob.domain.arrays import Doubles
from relrob.domain.region import Ladder
from relrob.networks.enclosure import EnclosedLayer, Enclosure
from relrob.regions.ladder import RungSet, rung_set
from relrob.regions.part import whole
from tests.support import random_dense

SIZES = [(36, 6, 3), (36, 5, 4, 3), (36, 3)]


def rungs_of(seed: int) -> RungSet:
    image = np.random.default_rng(seed).integers(0, 256, size=(6, 6), dtype=np.uint8)
    return rung_set(Ladder(Fraction(2), Fraction(1, 4), 6, 4), image)


def enclosure_of(seed: int) -> Enclosure:
    """Errors as large as the values themselves."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, layer in enumerate(random_dense(seed, SIZES[seed % 3]).layers):
        share = float(rng.choice([0.0, 0.1])) if number else 0.0
        moved = 0.0 if number else float(rng.choice([0.0, 0.05]))
        weights, bias = layer.weights.astype(np.float64), layer.bias.astype(np.float64)
        layers.append(
            EnclosedLayer(
                weights, bias, layer.relu, 40, share, moved, rounding=float(rng.choice([0.0, 0.1]))
            )
        )
    return Enclosure(tuple(layers))


def worst_outputs(
    given: Enclosure, images: Doubles, rng: np.random.Generator, other: int, label: int
) -> Doubles:
    """Outputs (n, classes) when every error has the sign that helps `other` against `label` along
    the signs of the path."""
    back = given.layers[-1].weights[:, other] - given.layers[-1].weights[:, label]
    paths = [back]
    for layer in given.layers[-2::-1]:
        paths.insert(0, layer.weights @ np.where(rng.random(len(back)) < 0.8, paths[0], 0.0))
        back = paths[0]
    values = images
    for number, (layer, path) in enumerate(zip(given.layers, paths, strict=True)):
        deviation = layer.deviation(values.max(axis=0))
        if number == 0 and layer.moved:
            values, moved = layer.levels(values, float(values.max()))
        else:
            moved = deviation.moved * (values > 0)
        sums = (values + moved * np.sign(path)) @ layer.weights + layer.bias
        classes = np.arange(len(layer.bias))
        end = 1.0 * (classes == other) - (classes == label)
        later = paths[number + 1] if number + 1 < len(paths) else end
        values = sums + 0.999 * deviation.rest * np.sign(later)
        values = np.maximum(values, 0) if layer.relu else values
    return values


@pytest.mark.parametrize("seed", range(60))
def test_margins_hold_where_every_error_is_the_worst_one(seed: int) -> None:
    rng, given, rungs = np.random.default_rng(seed), enclosure_of(seed), rungs_of(seed)
    bounds, part = LadderBounds(given, rungs, 0), whole(rungs)
    for _ in range(6):
        found = bounds.margins(part)
        masks = part.masks(0, part.count)
        some = masks[rng.permutation(len(masks))[:8]]
        for other in (1, 2):
            for image in rungs.images(some).astype(np.float64):
                outputs = worst_outputs(given, image[None, :], rng, other, 0)[0]
                assert found.low[other - 1] <= outputs[0] - outputs[other]
        if part.free:
            part = part.split(int(rng.choice(part.free)))[int(rng.integers(2))]


def test_errors_of_a_point_are_met_exactly() -> None:
    """One point, one layer that quantises: the bound is the worst case, and not below it."""
    layer = EnclosedLayer(np.array([[2.0, -1.0]]), np.zeros(2), True, 1)
    last = EnclosedLayer(
        np.array([[1.0, 0.0], [1.0, 3.0]]), np.zeros(2), False, 1, share=0.25, rounding=0.5
    )
    rungs = rung_set(Ladder(Fraction(1, 4), Fraction(1, 2), 1, 1), np.full((1, 1), 255, np.uint8))
    margins = LadderBounds(Enclosure((layer, last)), rungs, 0).margins(whole(rungs))
    # hidden 2 (the other is off), moved by 0.5: outputs 2 +- 0.5 +- 0.5 and 0 +- 0.5
    assert margins.low[0] == pytest.approx(2 - 0.5 - 0.5 - 0.5, abs=1e-5)
