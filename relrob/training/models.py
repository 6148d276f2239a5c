"""Keras models of an architecture, one to train and one to save."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from relrob.training.architectures import Architecture


def models(
    architecture: Architecture, shape: tuple[int, ...], classes: int, seed: int
) -> tuple[Any, Any]:
    """The model that is trained, with dropout, and the one that is saved, without. They share their
    dense layers."""
    seeds = iter(
        np.random.SeedSequence(seed).generate_state(2 * len(architecture.hidden) + 1).tolist()
    )
    plain: list[Any] = [keras.Input(shape, name="image"), keras.layers.Flatten(name="flatten")]
    dropped = list(plain)
    for number, size in enumerate(architecture.hidden):
        start: Any = keras.initializers.GlorotUniform(seed=next(seeds))
        dense = keras.layers.Dense(
            size, activation="relu", kernel_initializer=start, name=f"hidden_{number}"
        )
        plain.append(dense)
        dropped += [
            dense,
            keras.layers.Dropout(architecture.dropout, seed=next(seeds), name=f"dropout_{number}"),
        ]
    start = keras.initializers.GlorotUniform(seed=next(seeds))
    last = keras.layers.Dense(classes, kernel_initializer=start, name="logits")
    return keras.Sequential([*dropped, last]), keras.Sequential(
        [*plain, last], name=architecture.name
    )
