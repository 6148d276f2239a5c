"""Keras files that do more than dense layers: the model of them contains what Keras computes,
eagerly and traced."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Dense
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


# How a step of a kind changes values near 1: (rng, value) -> the constants of many, what Keras's
# formula gives, and the real value.
Tries = tuple[Doubles, Floats, Doubles]


def rescalings(rng: np.random.Generator, value: np.float32) -> Tries:
    """Scale and offset."""
    held = np.stack([rng.uniform(0.97, 1.01, 30000), rng.uniform(0.0, 0.03, 30000)]).astype(
        np.float32
    )
    wide = held.astype(np.float64)
    return wide, value * held[0] + held[1], float(value) * wide[0] + wide[1]


def normalisations(rng: np.random.Generator, value: np.float32) -> Tries:
    """Mean and variance, near 0 and 1."""
    held = np.stack([-rng.uniform(0.0, 0.03, 30000), rng.uniform(0.97, 1.03, 30000)]).astype(
        np.float32
    )
    wide = held.astype(np.float64)
    return wide, (value - held[0]) / np.sqrt(held[1]), (float(value) - wide[0]) / np.sqrt(wide[1])


def inversions(rng: np.random.Generator, value: np.float32) -> Tries:
    """The same of a normalisation that is inverted."""
    held = np.stack([rng.uniform(0.0, 0.03, 30000), rng.uniform(0.94, 1.02, 30000)]).astype(
        np.float32
    )
    wide = held.astype(np.float64)
    return wide, held[0] + value * np.sqrt(held[1]), wide[0] + float(value) * np.sqrt(wide[1])


def batches(rng: np.random.Generator, value: np.float32) -> Tries:
    """Scale, shift, mean, variance, all of whose terms have one sign."""
    ends = ((0.97, 1.0), (0.0, 0.03), (-0.03, 0.0), (0.97, 1.03))
    held = np.stack([rng.uniform(*end, 30000) for end in ends]).astype(np.float32)
    gamma, beta, mean, variance = held
    factor = 1 / np.sqrt(variance + np.float32(1e-3)) * gamma
    given = value * factor + (beta - mean * factor)
    gamma, beta, mean, variance = wide = held.astype(np.float64)
    return wide, given, (float(value) - mean) * gamma / np.sqrt(variance + 1e-3) + beta


STEPS = {
    "Rescaling": rescalings,
    "Normalization": normalisations,
    "inverted": inversions,
    "BatchNormalization": batches,
}
MANY = 40


def worst_step(
    kind: str, rng: np.random.Generator, value: np.float32
) -> tuple[Doubles, np.float32]:
    """The constants that round furthest up, and what they give, which is 1 or little more."""
    held, found, exact = STEPS[kind](rng, value)
    fits = (found >= 1) & (found < 1.03)
    best = int(np.where(fits, found.astype(np.float64) / exact, 0).argmax())
    return held[:, best], found[best]


def stepped(kind: str, held: Doubles, width: int) -> Any:
    """The layer for that many channels; the weights of a batch normalisation are set when it is
    built."""
    layers = keras().layers
    match kind:
        case "Rescaling":
            return layers.Rescaling(float(held[0]), float(held[1]))
        case "BatchNormalization":
            return layers.BatchNormalization()
        case _:
            mean, variance = ([float(number)] * width for number in held)
            return layers.Normalization(-1, mean, variance, invert=kind == "inverted")


def all_up(kind: str, where: str) -> tuple[Any, Doubles]:
    """A model whose many steps all round up for a white image, and its real outputs there, one
    number for all."""
    layers, rng, value = keras().layers, np.random.default_rng(3), np.float32(1)
    found = []
    for _ in range(MANY):
        held, value = worst_step(kind, rng, value)
        found.append(held)
    steps = [stepped(kind, held, SHAPE[-1] if where == "before" else CLASSES) for held in found]
    dense = layers.Dense(CLASSES, use_bias=False)
    ends = (
        [*steps, layers.Flatten(), dense]
        if where == "before"
        else [layers.Flatten(), dense, *steps]
    )
    model = keras().Sequential([layers.Input(SHAPE), *ends])
    weights = np.zeros((INPUTS, CLASSES), np.float32)
    weights[0] = 1
    dense.set_weights([weights])
    for step, held in zip(steps, found, strict=True):
        if kind == "BatchNormalization":
            step.set_weights(
                [
                    np.full(at.shape, number, np.float32)
                    for at, number in zip(step.weights, held, strict=True)
                ]
            )
    return model, real(kind, found)


def real(kind: str, found: list[Doubles]) -> Any:
    """The steps over the reals, from 1."""
    value = Fraction(1)
    for held in found:
        first, second, *more = (Fraction(float(number)) for number in held)
        match kind:
            case "Rescaling":
                value = value * first + second
            case "Normalization":
                value = (value - first) / Fraction(float(held[1]) ** 0.5)
            case "inverted":
                value = value * Fraction(float(held[1]) ** 0.5) + first
            case _:
                mean, variance = more
                value = (value - mean) * first / Fraction((float(variance) + 1e-3) ** 0.5) + second
    return float(value)


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("kind", list(STEPS))
def test_every_rounding_of_a_layer_of_steps_counts(kind: str, where: str, tmp_path: Path) -> None:
    """Each of Keras's own roundings, and not one a layer, is in the error of the model."""
    model, exact = all_up(kind, where)
    network = load_network(save(model, tmp_path / "n.keras"), image_shape=SHAPE, classes=CLASSES)
    white: Floats = np.ones((1, INPUTS), np.float32)
    lost = float(eagerly(model, white)[0, 0]) / exact - 1
    assert lost > (MANY + INPUTS + 4) * 2.0**-24, "more than one rounding a layer may lose"
    assert (
        outside(
            network,
            [open_network(network).outputs, partial(eagerly, model)],
            np.random.default_rng(1),
        )
        <= 0
    )


@pytest.mark.parametrize("where", ["before", "after"])
def test_terms_of_a_batch_normalisation_that_cancel_lose_what_each_loses(
    where: str, tmp_path: Path
) -> None:
    """beta is mean * gamma / deviation, but for little: their difference, the bias, is small, and
    what is lost in them is not."""
    layers, rng = keras().layers, np.random.default_rng(5)
    normal, dense = layers.BatchNormalization(epsilon=1e-5), layers.Dense(CLASSES)
    ends = (
        [normal, layers.Flatten(), dense]
        if where == "before"
        else [layers.Flatten(), dense, normal]
    )
    model = keras().Sequential([layers.Input(SHAPE), *ends])
    width = int(normal.weights[0].shape[0])
    gamma, mean, variance = (
        rng.uniform(low, high, width) for low, high in ((0.5, 2.0), (3e5, 9e5), (0.5, 2.0))
    )
    normal.set_weights([gamma, mean * gamma / np.sqrt(variance + 1e-5), mean, variance])
    network = load_network(save(model, tmp_path / "n.h5"), image_shape=SHAPE, classes=CLASSES)
    assert network.dense is not None
    layer, points = network.dense.layers[0], rng.random((200, INPUTS), dtype=np.float32)
    lost = np.abs(np.asarray(eagerly(model, points)) - (points @ layer.weights + layer.bias)).max()
    alone = replace(layer, slack=None)
    known = (
        float32_enclosure(Dense((alone,)))
        .layers[0]
        .deviation(np.ones(INPUTS))
        .total(np.abs(layer.weights))
        .max()
    )
    assert lost > known, "more than weights and bias tell"
    assert outside(network, [open_network(network).outputs, partial(eagerly, model)], rng) <= 0
