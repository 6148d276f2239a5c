"""A reference network as a Keras model, which TensorFlow converts."""

from __future__ import annotations

from typing import Any

import keras

from relrob.domain.network import Dense, Layout, Network
from relrob.errors import QuantiseError
from relrob.networks.batches import one_line
from relrob.networks.content import checked_bytes
from relrob.networks.keras.own_layers import LAYERS
from relrob.networks.shapes import Shape, raster
from relrob.system.temporary import temporary_folder


def from_dense(dense: Dense, layout: Layout, image_shape: Shape) -> Any:
    """The Keras model of an MLP that reads (n, d) pixels in the order `layout`. It ends in a
    softmax where `dense` does."""
    order = raster(layout, image_shape)
    arrays, parts = [], [keras.Input((dense.inputs,), name="image")]
    for number, layer in enumerate(dense.layers):
        last = "softmax" if dense.softmax and number == len(dense.layers) - 1 else "linear"
        size = layer.weights.shape[1]
        parts.append(
            keras.layers.Dense(
                size, activation="relu" if layer.relu else last, name=f"dense_{number}"
            )
        )
        arrays += [layer.weights[order] if number == 0 else layer.weights, layer.bias]
    model = keras.Sequential(parts, name="relrob")
    model.set_weights(arrays)
    return model


def from_file(reference: Network) -> Any:
    """The model in a `.keras` or `.h5` file. Safe mode runs no code of the file. Raises
    QuantiseError, NetworkError."""
    content = checked_bytes(reference, None)
    with temporary_folder() as folder:
        copy = folder / ("network.keras" if reference.format == "keras" else "network.h5")
        copy.write_bytes(content)
        try:
            return keras.models.load_model(
                copy, custom_objects=LAYERS, compile=False, safe_mode=True
            )
        # Keras raises errors of any class on a file that it cannot read.
        except Exception as error:
            raise QuantiseError(
                f"Keras cannot load {reference.path}: {one_line(error)}",
                "a model of Keras' own layers",
                "no Lambda layers",
            ) from error
