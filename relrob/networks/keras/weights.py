"""Weights matched to layers as Keras matches them: by position in HDF5 files, by class and number
in archives."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.errors import NetworkError
from relrob.networks.keras import hdf5
from relrob.networks.keras.config import LayerConfig
from relrob.networks.keras.layers import Shapes, Weights, has_weights

# The data sets of a layer, in Keras's order.
Held = Callable[[], list[Any]]
# Does a layer hold weights?
Owns = Callable[[LayerConfig], bool]
_WHOLE, _AGAIN = "a model saved whole", "save it again"


def by_position(file: Any, path: str, layers: tuple[LayerConfig, ...]) -> Weights:
    """Weights of an HDF5 file. The n-th layer that has weights takes the n-th group that has any,
    whatever their names."""
    return _checked(held_by_position(file, path, layers, has_weights), path)


def held_by_position(
    file: Any, path: str, layers: tuple[LayerConfig, ...], owns: Owns
) -> dict[str, Held]:
    """The data sets of each layer that has weights, by the layer's name, not yet read."""
    weights = file.get("model_weights")
    if weights is None:
        raise NetworkError(f"{path} has no model_weights", _WHOLE, _AGAIN)
    groups = [hdf5.child(weights, name, path) for name in hdf5.texts(weights, "layer_names")]
    filled = [group for group in groups if hdf5.texts(group, "weight_names")]
    owners = [layer for layer in layers if owns(layer)]
    if len(filled) != len(owners):
        raise NetworkError(
            f"{path} has weights of {len(filled)} layers", f"{len(owners)}, as in its model", _AGAIN
        )
    top = weights.get("top_level_model_weights")
    if top is not None and hdf5.texts(top, "weight_names"):
        raise NetworkError(
            f"{path} has weights of the model itself", "weights of its layers", _AGAIN
        )

    def held(group: Any) -> Held:
        return lambda: [
            hdf5.dataset(group, name, path) for name in hdf5.texts(group, "weight_names")
        ]

    return {layer.name: held(group) for layer, group in zip(owners, filled, strict=True)}


def by_class(file: Any, path: str, layers: tuple[LayerConfig, ...]) -> Weights:
    """Weights of an archive. The n-th layer of a class takes the group of that class and number,
    "dense_1" for the second Dense."""
    return _checked(held_by_class(file, path, layers, has_weights), path)


def held_by_class(
    file: Any, path: str, layers: tuple[LayerConfig, ...], owns: Owns
) -> dict[str, Held]:
    """As `held_by_position`."""
    if "vars" in file and len(file["vars"]):
        raise NetworkError(
            f"{path} has weights of the model itself", "weights of its layers", _AGAIN
        )
    counts: dict[str, int] = {}
    found: dict[str, Held] = {}
    for layer in layers:
        snake = _snake(layer.kind)
        number = counts.get(snake, 0)
        counts[snake] = number + 1
        if owns(layer):
            found[layer.name] = _numbered(file, f"{snake}_{number}" if number else snake, path)
    return found


def _snake(kind: str) -> str:
    """The name as keras.src.utils.naming.to_snake_case writes it."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", kind)).lower()


def _numbered(file: Any, name: str, path: str) -> Held:
    """The data sets "0", "1", ... of a group; Keras 2.13 wrote `_layer_checkpoint_dependencies` for
    `layers`."""

    def held() -> list[Any]:
        for parent in ("layers", "_layer_checkpoint_dependencies"):
            if f"{parent}/{name}/vars" in file:
                group = hdf5.child(file, f"{parent}/{name}/vars", path)
                return [hdf5.dataset(group, str(number), path) for number in range(len(group))]
        raise NetworkError(f"{path} has no weights for it (layers/{name})", _WHOLE, _AGAIN)

    return held


def _checked(held: dict[str, Held], path: str) -> Weights:
    """Number and shapes are compared with the settings before any array is read; all become
    float32, as Keras keeps them."""

    def weights(layer: LayerConfig, shapes: Shapes) -> list[NDArray[Any]]:
        found = held[layer.name]()
        if len(found) != len(shapes):
            raise NetworkError(f"{len(found)} weight arrays", f"{len(shapes)}", _AGAIN)
        for item, shape in zip(found, shapes, strict=True):
            if item.shape != shape:
                raise NetworkError(f"an array of shape {item.shape}", f"{shape}", _AGAIN)
        with np.errstate(over="ignore"):
            return [
                hdf5.finite(hdf5.values(item, path).astype(np.float32), item.name, path)
                for item in found
            ]

    return weights
