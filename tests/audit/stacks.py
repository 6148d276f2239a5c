"""Keras models of a stack of layers, and the comparison of two of them of which LiteRT's converter
quantised one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import compare_weights
from relrob.domain.contract import InputOptions
from relrob.networks.load import load_network
from tests import planted_pairs as plant
from tests.make_networks import convert, keras, save

Stack = Callable[[Any], list[Any]]
Graph = Callable[[Any, Any], Any]
SHAPE = (6, 6, 3)


def built(stack: Stack, seed: int = 3) -> Any:
    """The model with seeded weights, biases and states of its normalisations."""
    layers = keras().layers
    return seeded(keras().Sequential([layers.Input(SHAPE), *stack(layers), layers.Dense(5)]), seed)


def branched(graph: Graph, seed: int = 3) -> Any:
    """The model of a graph that is no stack, likewise."""
    layers = keras().layers
    given = layers.Input(SHAPE)
    return seeded(keras().Model(given, layers.Dense(5)(graph(layers, given))), seed)


def seeded(model: Any, seed: int = 3) -> Any:
    """The model with seeded weights, biases and states of its normalisations."""
    layers, rng = keras().layers, np.random.default_rng(seed)
    for layer in model.layers:
        shapes = [weight.shape for weight in layer.get_weights()]
        if isinstance(layer, layers.BatchNormalization):
            ends = (0.5, 1.5), (-0.3, 0.3), (-0.3, 0.3), (0.3, 2.0)
            layer.set_weights([rng.uniform(*each, shapes[0]) for each in ends])
        elif isinstance(
            layer, (layers.Dense, layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
        ):
            layer.set_weights([rng.normal(0, 0.3, shape) for shape in shapes])
    return model


def normalisations(model: Any) -> list[Any]:
    """The batch normalisations of a model."""
    kind = keras().layers.BatchNormalization
    return [layer for layer in model.layers if isinstance(layer, kind)]


def disable(normalisation: Any) -> None:
    """Let a batch normalisation do nothing."""
    count = len(normalisation.get_weights()[0])
    ends = np.full(count, np.sqrt(1 + normalisation.epsilon)), *np.zeros((2, count))
    normalisation.set_weights([*ends, np.ones(count)])


def compared(
    reference: Any,
    quantised: Any,
    folder: Path,
    scheme: str = "int8",
    inputs: InputOptions | None = None,
    fault: Callable[[plant.Lite], None] | None = None,
) -> WeightReport:
    """The weights of a model, against those of a model that the converter quantised, with a fault
    planted or none. `inputs`: what the reference reads. `quantised` may be what the converter
    made."""
    save(reference, folder / "reference.keras")
    data = quantised if isinstance(quantised, bytes) else convert(quantised, scheme)
    data = data if fault is None else plant.lite(data, fault)
    (folder / "quantised.tflite").write_bytes(data)
    images = np.random.default_rng(4).random((64, 108), dtype=np.float32)
    one, other = (
        load_network(folder / name, image_shape=SHAPE, classes=5, inputs=read)
        for name, read in (("reference.keras", inputs), ("quantised.tflite", None))
    )
    return compare_weights(one, other, images)
