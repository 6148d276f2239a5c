"""Keras files that do more than dense layers: the model of them contains what Keras computes,
eagerly and traced."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.arrays import Floats
from relrob.networks.enclosure import float32_enclosure
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from tests.make_networks import keras, save
from tests.networks.onnx.test_modelled import (
    CLASSES,
    INPUTS,
    SHAPE,
    box,
    inside,
    spread,
    surroundings,
)

ENDS = {"ordinary": (0.1, 4.0), "hostile": (1e-5, 1e5)}


def chain(rng: np.random.Generator, ends: tuple[float, float]) -> Any:
    """Steps on constants around dense layers, with constants between the ends; some variances are
    0."""
    layers = keras().layers

    def stepped() -> Any:
        return [
            layers.Normalization(),
            layers.Normalization(invert=True),
            layers.BatchNormalization(),
        ][rng.integers(3)]

    stack: list[Any] = [layers.Input(SHAPE)]
    if rng.random() < 0.5:
        stack.append(
            layers.Rescaling(float(spread(rng, 1, ends)[0]), float(spread(rng, 1, ends)[0]))
        )
    stack += [stepped() for _ in range(rng.integers(0, 3))] + [layers.Flatten()]
    for _ in range(rng.integers(1, 3)):
        stack += [layers.Dense(6), *([stepped()] if rng.random() < 0.7 else []), layers.ReLU()]
    model = keras().Sequential([*stack, layers.Dense(CLASSES)])
    for layer in model.layers:
        for weight in layer.weights:
            if weight.dtype.startswith("int"):
                continue
            values = spread(rng, int(np.prod(weight.shape)), ends).reshape(weight.shape)
            if "variance" in weight.path:
                values = np.abs(values) * (rng.random(weight.shape) < 0.8)
            weight.assign(values)
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()
    return model


def eagerly(model: Any, points: Floats) -> Any:
    """What the model gives outside a graph."""
    return model(points.reshape(-1, *SHAPE))


def outside(network: Any, runs: list[Any], rng: np.random.Generator) -> float:
    """By how much an output leaves its interval, at most."""
    enclosure, worst = float32_enclosure(network.dense), -np.inf
    for low, high in surroundings(rng, 1):
        least, most = box(enclosure, low.astype(np.float64), high.astype(np.float64))
        points: Floats = inside(rng, low, high)
        for run in runs:
            outputs = np.asarray(run(points)).astype(np.float64)
            worst = max(worst, float((outputs - most).max()), float((least - outputs).max()))
    return worst


@pytest.mark.parametrize("ends", list(ENDS))
def test_the_model_contains_what_keras_computes(ends: str, tmp_path: Path) -> None:
    modelled = 0
    for seed in range(16):
        rng = np.random.default_rng(seed)
        model = chain(rng, ENDS[ends])
        path = save(model, tmp_path / f"n{'.keras' if seed % 2 else '.h5'}")
        network = load_network(path, image_shape=SHAPE, classes=CLASSES)
        if network.dense is None:
            assert "2^" in network.black_box or "between a ReLU" in network.black_box, (
                network.black_box
            )
            continue
        modelled += network.folded
        assert network.runtime == ("keras" if network.folded else "onnxruntime")
        assert (
            outside(network, [open_network(network).outputs, partial(eagerly, model)], rng) <= 0
        ), f"seed {seed}"
    assert modelled >= (10 if ends == "ordinary" else 5)


def test_a_pixel_that_never_changed_is_subtracted_before_it_is_divided(tmp_path: Path) -> None:
    """Variance 0: (x - mean) / 1e-7, which at the mean is 0 to the bit; folded into weights it
    would be anything."""
    layers = keras().layers
    normal = layers.Normalization()
    images = np.random.default_rng(0).random((40, *SHAPE)).astype(np.float32)
    images[..., 0] = np.float32(1 / 3)
    normal.adapt(images)
    model = keras().Sequential(
        [layers.Input(SHAPE), normal, layers.Flatten(), layers.Dense(CLASSES)]
    )
    assert float(normal.variance.numpy().ravel()[0]) < 1e-12
    for suffix in (".keras", ".h5"):
        network = load_network(
            save(model, tmp_path / f"n{suffix}"), image_shape=SHAPE, classes=CLASSES
        )
        assert (network.runtime, network.folded) == ("keras", True)
        expected = np.asarray(model(images))
        np.testing.assert_allclose(
            open_network(network).outputs(images.reshape(-1, INPUTS)), expected, rtol=1e-5
        )
        assert outside(network, [open_network(network).outputs], np.random.default_rng(1)) <= 0
