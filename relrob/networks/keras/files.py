"""`.keras` archives and Keras HDF5 files, Keras 1 to 3, read with json and h5py alone."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from functools import partial
from io import BytesIO
from typing import Any, Final

import numpy as np

from relrob.domain.network import Dense, Layout
from relrob.errors import NetworkError, ShapeError
from relrob.networks.feed import Entry
from relrob.networks.keras import hdf5
from relrob.networks.keras.config import Model, parse
from relrob.networks.keras.ends import head_of, reads_of
from relrob.networks.keras.layers import build
from relrob.networks.keras.weights import by_class, by_position
from relrob.networks.keras.wiring import classes_of, dims_of, input_of, treats_apart
from relrob.networks.operators import OperatorChain
from relrob.networks.source import Reader, Source, refuse_output
from relrob.system.files import sha256_bytes

# The most bytes that one packed byte may hold. DEFLATE packs 1,032 at most.
_DENSEST: Final = 1100
_BROKEN: Final = (
    *(
        zipfile.BadZipFile,
        KeyError,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ),
    *(OverflowError, lzma.LZMAError, zlib.error, MemoryError),
)


def read_keras(path: str, data: bytes, output: str = "") -> Source:
    """A `.keras` archive (Keras 3). Raises NetworkError, UnsupportedLayerError, ShapeError."""
    refuse_output(path, output)
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            config = _member(archive, "config.json", path)
            weights = _member(archive, "model.weights.h5", path)
    except _BROKEN as error:
        raise NetworkError(
            f"{path} is not a whole Keras archive: {error}",
            "config.json and model.weights.h5 in it",
            "save it again",
        ) from error
    model = parse(config, path)

    def dense(dims: tuple[int, ...], entry: Entry) -> tuple[Dense, bool]:
        with hdf5.opened(weights, path) as file:
            return build(model, dims, partial(by_class, file, path), entry)

    return _source("keras", model, path, data, dense)


def read_hdf5(path: str, data: bytes, output: str = "") -> Source:
    """A whole model of Keras 2 or 3, or the weights that Keras 1 kept. Raises NetworkError,
    UnsupportedLayerError, ShapeError."""
    refuse_output(path, output)
    with hdf5.opened(data, path) as file:
        config = hdf5.text(file, "model_config")
        names = hdf5.texts(file, "layer_names")
        if config is None and names:
            return _keras1(path, data, file, names)
    if config is None:
        raise NetworkError(
            f"{path} has no model_config",
            "a whole Keras model, or Keras 1 weights",
            "model.save(...)",
        )
    model = parse(config, path)

    def dense(dims: tuple[int, ...], entry: Entry) -> tuple[Dense, bool]:
        with hdf5.opened(data, path) as file:
            return build(model, dims, partial(by_position, file, path), entry)

    return _source("keras-h5", model, path, data, dense)


def _member(archive: zipfile.ZipFile, name: str, path: str) -> bytes:
    """The bytes of a file of the archive, whose size is one that the archive can hold."""
    info = archive.getinfo(name)
    if info.file_size > hdf5.LARGEST or info.file_size > _DENSEST * (info.compress_size + 1):
        raise NetworkError(
            f"{name} in {path} claims {info.file_size:,} bytes", "as many as the archive holds"
        )
    return archive.read(name)


def _source(
    kind: str,
    model: Model,
    path: str,
    data: bytes,
    dense: Reader,
) -> Source:
    """The facts of either format."""
    inputs, outputs = (len(model.inputs), len(model.outputs)) if model.graph else (1, 1)
    if (inputs, outputs) != (1, 1):
        raise ShapeError(
            f"{path} has {inputs} inputs and {outputs} outputs",
            "one image in, one score a class out",
        )
    first = input_of(model)
    given = (
        first.settings.get("dtype") if first is not None and first.kind == "InputLayer" else None
    )
    if isinstance(given, str) and "float" not in given:
        raise NetworkError(f"{path} reads {given} pixels", "float pixels in [0, 1]")
    try:
        dims = dims_of(model)
    except (TypeError, ValueError, OverflowError) as error:
        raise NetworkError(
            f"{path} has an input of no shape ({error})", "an image's shape", "save it again"
        ) from error
    return Source(
        kind,
        dims,
        classes_of(model),
        sha256_bytes(data),
        dense,
        apart=treats_apart(model),
        head=head_of(model),
        reads=reads_of(model),
    )


def _keras1(path: str, data: bytes, file: Any, names: list[str]) -> Source:
    """Weights without an architecture: dense layers with ReLU between them and a softmax at the
    end, pixels (C, H, W)."""
    pairs = []
    for position, name in enumerate(names, start=1):
        held = _arrays(file, name, f"{path}: layer {position} {name!r}")
        if not held:
            continue
        if held != [f"{name}_W", f"{name}_b"]:
            raise NetworkError(
                f"{path}: layer {position} {name!r} holds {', '.join(held)}, and the file "
                "says nothing of its architecture",
                f"the arrays {name}_W and {name}_b of Keras 1, or a whole model",
                "model.save(...) instead of save_weights",
            )
        group = hdf5.child(file, name, path)
        pairs.append([hdf5.array(group, one, path) for one in held])
    if not pairs or any(weights.ndim != 2 for weights, _ in pairs):
        raise NetworkError(
            f"{path} holds no chain of dense layers", "Keras 1 weights of an MLP, or a whole model"
        )

    def dense(dims: tuple[int, ...], entry: Entry) -> tuple[Dense, bool]:
        chain = OperatorChain((int(np.prod(dims)),), entry)
        for number, (weights, bias) in enumerate(pairs, start=1):
            chain.dense(weights, bias)
            chain.softmax() if number == len(pairs) else chain.relu()
        return chain.finish(), False

    (first, _), (last, _) = pairs[0], pairs[-1]
    return Source(
        "keras1-h5", (-1, first.shape[0]), last.shape[1], sha256_bytes(data), dense, flat=Layout.CHW
    )


def _arrays(file: Any, name: str, where: str) -> list[str]:
    """The names of a layer's arrays. Raises NetworkError for a layer that is named and not there,
    or whose arrays have no names."""
    if name not in file:
        raise NetworkError(
            f"{where} is named in layer_names and is not there", "a whole file", "copy it again"
        )
    group = hdf5.child(file, name, where)
    held = hdf5.texts(group, "weight_names")
    if set(group) != set(held):
        raise NetworkError(
            f"{where} holds {sorted(group)} and names {held}",
            "a name an array",
            "copy the file again",
        )
    return held
