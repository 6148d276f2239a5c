"""The first layer whose rounding flips an image: a fault planted in a layer is found there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relrob.attacks.first_flip import first_flips
from relrob.domain.arrays import Floats, Ints
from relrob.domain.network import Dense
from relrob.networks.evaluator import labels
from relrob.networks.open import open_network
from relrob.networks.weighted import NotReadError, weights_of
from tests.audit.pairs import Pair, dense, dynamic, images, int8, pair
from tests.support import random_dense


def flips(found: Pair, pictures: Floats) -> tuple[Ints, list[str | None]]:
    """The images on which the labels differ, and the layer of each."""
    ours, theirs = (
        labels(open_network(each).outputs(pictures)) for each in (found.reference, found.quantised)
    )
    changed = np.flatnonzero(ours != theirs)
    told = first_flips(
        found.reference, found.quantised, pictures[changed], ours[changed], theirs[changed]
    )
    return changed, told


def spoilt(network: Dense, number: int, much: float) -> Dense:
    """The network with noise in the weights of one layer."""
    layers = list(network.layers)
    noise = np.random.default_rng(5).normal(0, much, layers[number].weights.shape)
    weights = layers[number].weights + noise.astype(np.float32)
    layers[number] = replace(layers[number], weights=weights)
    return replace(network, layers=tuple(layers))


@pytest.mark.parametrize("number", [0, 1, 2, 3])
@pytest.mark.parametrize("how", ["dynamic", "int8"])
def test_a_spoilt_layer_is_named(tmp_path: Path, number: int, how: str) -> None:
    reference, pictures = dense(), images(400)
    bad = spoilt(reference, number, 0.1)
    made = dynamic(bad) if how == "dynamic" else int8(bad, pictures)
    found = pair(tmp_path, reference, made)
    changed, told = flips(found, pictures)
    names = [layer.label for layer in weights_of(found.quantised)]
    assert len(changed) > 20
    right = sum(layer == names[number] for layer in told)
    assert right > 0.8 * len(changed), [told.count(name) for name in names]


def test_an_image_that_the_model_does_not_explain_is_left_out(tmp_path: Path) -> None:
    found, pictures = pair(tmp_path, dense(), dynamic(dense())), images(4)
    said = labels(open_network(found.reference).outputs(pictures))
    told = first_flips(found.reference, found.quantised, pictures, said, (said + 1) % 10)
    assert told == [None] * 4


def test_layers_that_do_not_match_are_told(tmp_path: Path) -> None:
    other = pair(tmp_path, random_dense(1, (108, 30, 10)), dynamic(dense()))
    none = np.zeros(1, np.int64)
    with pytest.raises(NotReadError, match="layers differ"):
        first_flips(other.reference, other.quantised, images(1), none, none)
