"""The multilayer perceptrons."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from relrob.training.architectures import Architecture


def fused(
    architecture: Architecture, shape: tuple[int, ...], classes: int, seed: int
) -> tuple[Any, Any]:
    """The model that is trained, with dropout, and the one that is saved, without. They share their
    dense layers, whose activation is their own."""
    plain: list[Any] = [keras.Input(shape, name="image"), keras.layers.Flatten(name="flatten")]
    dropped = list(plain)
    *hidden, last = _layers(architecture, classes, seed, "relu")
    for dense, drop in hidden:
        plain.append(dense)
        dropped += [dense, drop]
    return keras.Sequential([*dropped, last[0]]), keras.Sequential(
        [*plain, last[0]], name=architecture.name
    )


def apart(architecture: Architecture, shape: tuple[int, ...], classes: int, seed: int) -> Any:
    """The same network with the same first weights, each ReLU a layer of its own: what compression
    in training changes."""
    *hidden, last = _layers(architecture, classes, seed, "linear")
    image = keras.Input(shape, name="image")
    values = keras.layers.Flatten(name="flatten")(image)
    for dense, drop in hidden:
        values = drop(keras.layers.ReLU(name=f"{dense.name}_relu")(dense(values)))
    return keras.Model(image, last[0](values), name=architecture.name)


def _layers(
    architecture: Architecture, classes: int, seed: int, activation: str
) -> list[tuple[Any, Any]]:
    """Dense layers with the dropout behind each; none behind the last."""
    seeds = iter(
        np.random.SeedSequence(seed).generate_state(2 * len(architecture.hidden) + 1).tolist()
    )
    found: list[tuple[Any, Any]] = []
    for number, size in enumerate(architecture.hidden):
        start: Any = keras.initializers.GlorotUniform(seed=next(seeds))
        dense = keras.layers.Dense(
            size, activation=activation, kernel_initializer=start, name=f"hidden_{number}"
        )
        drop = keras.layers.Dropout(
            architecture.dropout, seed=next(seeds), name=f"dropout_{number}"
        )
        found.append((dense, drop))
    start = keras.initializers.GlorotUniform(seed=next(seeds))
    last = keras.layers.Dense(classes, kernel_initializer=start, name="logits")
    return [*found, (last, None)]
