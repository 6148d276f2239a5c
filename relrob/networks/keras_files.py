"""`.keras` archives and Keras HDF5 files (Keras 3, 2 and the weight files of Keras 1), read with json and h5py alone."""

from __future__ import annotations

import re
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.network import Dense, Layout
from relrob.errors import NetworkError, ShapeError
from relrob.files import sha256_bytes
from relrob.networks import hdf5
from relrob.networks.chain import Chain
from relrob.networks.keras_chain import build
from relrob.networks.keras_config import LayerConfig, Model, parse
from relrob.networks.source import Source


def read_keras(path: str, data: bytes) -> Source:
    """A `.keras` archive (Keras 3). Raises NetworkError, UnsupportedLayerError, ShapeError."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            model = parse(_member(archive, "config.json"), path)
            weights = _member(archive, "model.weights.h5")
    except (zipfile.BadZipFile, KeyError, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise NetworkError(
            f"{path} is not a whole Keras archive: {error}", "config.json and model.weights.h5 in it", "save it again"
        ) from error

    def dense(dims: tuple[int, ...]) -> tuple[Dense, bool]:
        with hdf5.opened(weights, path) as file:
            groups = _archive_groups(model, file)
            return build(model, dims, lambda layer: _numbered(groups, layer, path))

    return _source("keras", model, path, data, dense)


def read_hdf5(path: str, data: bytes) -> Source:
    """A whole model of Keras 2 or 3, or the weights that Keras 1 kept. Raises NetworkError, UnsupportedLayerError, ShapeError."""
    with hdf5.opened(data, path) as file:
        config = hdf5.text(file, "model_config")
        names = hdf5.texts(file, "layer_names")
        if config is None and names:
            return _keras1(path, data, file, names)
    if config is None:
        raise NetworkError(f"{path} has no model_config", "a whole Keras model, or Keras 1 weights", "model.save(...)")
    model = parse(config, path)

    def dense(dims: tuple[int, ...]) -> tuple[Dense, bool]:
        with hdf5.opened(data, path) as file:
            return build(model, dims, lambda layer: _named(file, layer, path))

    return _source("keras-h5", model, path, data, dense)


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of the archive, of a size that fits in memory."""
    if archive.getinfo(name).file_size > hdf5.LARGEST:
        raise NetworkError(f"{name} in {archive.filename or 'the archive'} is larger than {hdf5.LARGEST:,} bytes")
    return archive.read(name)


def _source(kind: str, model: Model, path: str, data: bytes, dense: Any) -> Source:
    """The common end of both formats."""
    if (model.inputs, model.outputs) != (1, 1):
        raise ShapeError(
            f"{path} has {model.inputs} inputs and {model.outputs} outputs", "one image in, one score a class out"
        )
    first = model.layers[0].settings.get("dtype") if model.layers and model.layers[0].kind == "InputLayer" else None
    if isinstance(first, str) and "float" not in first:
        raise NetworkError(f"{path} reads {first} pixels", "float pixels in [0, 1]")
    return Source(kind, model.dims, _classes(model), sha256_bytes(data), dense)


def _classes(model: Model) -> int | None:
    """Units of the last layer with units, when nothing after it can change their number."""
    for layer in reversed(model.layers):
        if layer.kind == "Dense":
            units = layer.settings.get("units", layer.settings.get("output_dim"))
            return int(units) if isinstance(units, int) else None
        if layer.kind not in ("Activation", "Softmax", "ReLU", "Dropout"):
            return None
    return None


def _archive_groups(model: Model, file: Any) -> dict[str, Any]:
    """Layer name -> its group. Keras calls groups by class and number ("dense_1") and writes the layer's own name inside."""
    parent = file.get("layers", file.get("_layer_checkpoint_dependencies"))
    if parent is None:
        raise NetworkError("model.weights.h5 has no layers", "weights saved by Keras 3")
    counts: dict[str, int] = {}
    groups: dict[str, Any] = {}
    for layer in model.layers:
        snake = re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", layer.kind)).lower()
        number = counts.get(snake, 0)
        counts[snake] = number + 1
        group = parent.get(f"{snake}_{number}" if number else snake)
        values = None if group is None else group.get("vars")
        if values is None:
            continue
        written = hdf5.text(values, "name")
        if written is not None and written != layer.name:
            raise NetworkError(
                f"{layer}: its weights belong to {written!r}", "an archive saved by Keras", "save it again"
            )
        groups[layer.name] = values
    return groups


def _numbered(groups: dict[str, Any], layer: LayerConfig, path: str) -> list[NDArray[Any]]:
    """A layer's arrays in the order of their numbers."""
    group = groups.get(layer.name)
    if group is None:
        raise NetworkError(f"{path} has no weights for it", "a model saved whole", "save it again")
    return [hdf5.array(group, name, path) for name in sorted(group, key=int)]


def _named(file: Any, layer: LayerConfig, path: str) -> list[NDArray[Any]]:
    """A layer's arrays in the order of its attribute `weight_names`."""
    weights = file.get("model_weights")
    group = None if weights is None else weights.get(layer.name)
    if group is None:
        raise NetworkError(f"{path} has no weights for it", "a model saved whole", "save it again")
    return [hdf5.array(group, name, path) for name in hdf5.texts(group, "weight_names")]


def _keras1(path: str, data: bytes, file: Any, names: list[str]) -> Source:
    """Weights without an architecture: dense layers with ReLU between them and a softmax at the end, pixels (C, H, W)."""
    pairs = []
    for position, name in enumerate(names, start=1):
        group = file.get(name)
        held = [] if group is None else hdf5.texts(group, "weight_names")
        if not held:
            continue
        if held != [f"{name}_W", f"{name}_b"]:
            raise NetworkError(
                f"{path}: layer {position} {name!r} holds {', '.join(held)}, and the file says nothing of its architecture",
                f"the arrays {name}_W and {name}_b of Keras 1, or a whole model",
                "model.save(...) instead of save_weights",
            )
        pairs.append((hdf5.array(group, held[0], path), hdf5.array(group, held[1], path)))
    if not pairs or any(weights.ndim != 2 for weights, _ in pairs):
        raise NetworkError(f"{path} holds no chain of dense layers", "Keras 1 weights of an MLP, or a whole model")

    def dense(dims: tuple[int, ...]) -> tuple[Dense, bool]:
        chain = Chain((int(np.prod(dims)),))
        for number, (weights, bias) in enumerate(pairs, start=1):
            chain.dense(weights, bias)
            chain.softmax() if number == len(pairs) else chain.relu()
        return chain.finish(), False

    (first, _), (last, _) = pairs[0], pairs[-1]
    return Source("keras1-h5", (-1, first.shape[0]), last.shape[1], sha256_bytes(data), dense, flat=Layout.CHW)
