"""`load_network` reads any network file that relrob runs as one `Network` value. Only a SavedModel
directory needs TensorFlow."""

from __future__ import annotations

import logging
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from relrob.domain.contract import InputContract, InputOptions
from relrob.domain.network import Arithmetic, Dense, Layout, Network
from relrob.errors import ClassCountError, NetworkError, ShapeError, UsageError
from relrob.networks.content import conversion_of
from relrob.networks.details import ONNX_LEVELS
from relrob.networks.inputs import contract_of
from relrob.networks.operators import NotDenseError
from relrob.networks.shapes import Shape, decide_layout, raster, without_batch
from relrob.networks.sniff import sniff
from relrob.networks.source import Source
from relrob.registry import load
from relrob.system.quiet import quiet_native

log = logging.getLogger(__name__)

# Formats that are modelled without float weights. `Source.black_box` says which files are not.
MODELLED: Final = (
    "tflite",
    "fixed",
)
# The runtime of the weights as a function over the reals, which no program executes.
REAL: Final = "real"

# The readers of files, none of which imports TensorFlow.
READERS: dict[str, str] = {
    "keras": "relrob.networks.keras.files:read_keras",
    "hdf5": "relrob.networks.keras.files:read_hdf5",
    "onnx": "relrob.networks.onnx.files:read_onnx",
    "tflite": "relrob.networks.litert.info:read_tflite",
    "fixed": "relrob.networks.fixed.file:read_fixed",
}
# Those, and the reader of SavedModel directories.
ALL_READERS: Final = {**READERS, "savedmodel": "relrob.networks.keras.savedmodel:read_savedmodel"}

_KERAS: Final = ("keras",)
# The programs that run the files of a format, as `Source.format` has it; the default first.
RUNTIMES: Final[dict[str, tuple[str, ...]]] = {
    "keras": _KERAS,
    "keras-h5": _KERAS,
    "savedmodel": _KERAS,
    "keras1-h5": ("onnxruntime",),
    "onnx": tuple(ONNX_LEVELS),
    "tflite": ("xnnpack", "builtin", "reference", "tflm"),
    "fixed": ("fixed",),
}


def load_network(
    path: str | Path,
    *,
    image_shape: Shape,
    classes: int,
    runtime: str | None = None,
    layout: str = "auto",
    inherit: Layout | None = None,
    more_classes: bool = False,
    inputs: InputOptions | None = None,
    like: InputContract | None = None,
) -> Network:
    """Read a network for images (H, W, C): the weights of a float MLP, or a black box that its
    runtime runs.

    `runtime`: None takes the format's own (`runtimes`).

    `layout`: the pixel order of the file, "auto", "hwc" or "chw". The input's shape decides "auto".
    A flat input then takes `inherit`, or (H, W, C) where that is None, and Keras 1 weights take (C,
    H, W).

    `more_classes`: more outputs than `classes` are right too, because the data may lack some
    classes.

    `inputs`: the options of the input contract. What the file itself says stands in for those that
    are not given, and what `like` reads for the rest. None: the file reads pixels as they are.

    Raises NetworkError, UnsupportedLayerError, ShapeError, UsageError.
    """
    name, file = str(path), Path(path)
    source = read_source(file, name, (inputs and inputs.output) or "")
    dims, _ = (
        without_batch(source.dims, image_shape) if source.dims is not None else (image_shape, True)
    )
    order = decide_layout(name, dims, image_shape, layout, source.flat or inherit)
    dense, folded, unread = _dense(source, dims, name)
    head = _head(source, dense, classes, name)
    if head and dense is not None and dense.classes == 1:
        dense = two_outputs(dense)
    outputs = 2 if head else classes
    for found in () if head else (source.classes, dense.classes if dense is not None else None):
        if found is not None and (found < classes or (found > classes and not more_classes)):
            raise ClassCountError(
                f"{name} has {found} outputs, the data set {classes} classes", "equal numbers"
            )
        outputs = found or outputs
    runtime = _runtime(name, source.format, dense is not None, folded, runtime)
    # An MLP that was read has no operator that mixes images, but its products may round by number.
    network = Network(
        path=name,
        sha256=source.sha256,
        format=source.format,
        runtime=runtime,
        inputs=prod(image_shape),
        classes=outputs,
        image_shape=image_shape,
        layout=order,
        scheme=source.scheme,
        arithmetic=Arithmetic.REAL if runtime == REAL else source.arithmetic,
        dense=None if dense is None else in_raster_order(dense, order, image_shape),
        folded=folded,
        black_box=""
        if dense is not None
        else "one output for two classes"
        if head and source.format in MODELLED
        else source.black_box(runtime)
        if source.format in MODELLED
        else unread,
        apart=(source.apart or dense is not None) and not source.by_number(runtime),
        head=head,
    )
    contract, told = contract_of(name, source, inputs, like)
    network = replace(network, contract=contract, contract_from=told)
    return replace(network, conversion=conversion_of(network))


def read_source(file: Path, name: str, output: str = "") -> Source:
    """The facts that the reader of the file's format gives. `output`: as in `InputContract`."""
    kind = sniff(file)
    if kind == "savedmodel":
        # TensorFlow prints messages from its import on.
        with quiet_native():
            reader = load(ALL_READERS[kind])
        found: Source = reader(name, output)
        return found
    try:
        source: Source = load(READERS[kind])(name, file.read_bytes(), output)
    except OSError as error:
        raise NetworkError(f"cannot read {name}: {error.strerror or error}") from error
    return source


def runtimes(format_name: str, dense: bool, folded: bool = False) -> tuple[str, ...]:
    """The runtimes that can execute a format, the default first.

    `dense`: its weights could be read, and "real" stands for them as a function over the reals.
    `folded`: the file does more than plain dense layers, which only its own runtime executes
    exactly.

    >>> runtimes("tflite", dense=False)
    ('xnnpack', 'builtin', 'reference', 'tflm')
    """
    own = RUNTIMES[format_name]
    if not dense or folded or format_name == "fixed":
        return own
    # Plain dense layers are exported to ONNX rather than run on TensorFlow.
    return ("onnxruntime", *own, REAL) if own == _KERAS else (*own, REAL)


def _runtime(name: str, format_name: str, dense: bool, folded: bool, asked: str | None) -> str:
    """The runtime asked for, or the default."""
    able = runtimes(format_name, dense, folded)
    if asked is not None and asked not in able:
        what = (
            "network"
            if not dense
            else "float MLP of more than plain dense layers"
            if folded
            else "float MLP"
        )
        raise UsageError(
            f"runtime {asked!r} cannot run {name} (a {what} in format {format_name})",
            ", ".join(able),
        )
    return asked or able[0]


def _dense(source: Source, dims: tuple[int, ...], name: str) -> tuple[Dense | None, bool, str]:
    """The weights in the file's own input order or None, whether they only model the file, and the
    reason for None."""
    try:
        return *source.dense(dims, ()), ""
    except NotDenseError as error:
        if source.format == "keras1-h5":
            raise NetworkError(f"{name}: {error}") from error
        log.info("%s has no float weights to read: %s", name, error)
        return None, False, str(error)
    except NetworkError as error:
        if str(error).startswith(name):
            raise
        raise type(error)(f"{name}: {str(error).replace(f'{name}: ', '')}") from error


def _head(source: Source, dense: Dense | None, classes: int, name: str) -> str:
    """The meaning of the one output of a file for two classes; "" for other files. Raises
    ShapeError where the file does not tell it."""
    single = source.classes == 1 or (dense is not None and dense.classes == 1)
    if not single or classes > 2:
        return ""
    if not source.head:
        raise ShapeError(
            f"{name} has 1 output, and does not say whether it is a logit or a probability",
            "two outputs, or one that ends in a dense layer or a sigmoid",
        )
    return source.head


def two_outputs(dense: Dense) -> Dense:
    """The same network with the logit 0 for class 0 beside its one output for class 1."""
    last = dense.layers[-1]
    weights, bias = (
        np.concatenate([np.zeros_like(a), a], axis=-1) for a in (last.weights, last.bias)
    )
    slack = None if last.slack is None else np.concatenate([np.zeros(1), last.slack])
    made = replace(last, weights=weights, bias=bias, slack=slack)
    return replace(dense, layers=(*dense.layers[:-1], made))


def in_raster_order(dense: Dense, layout: Layout, image_shape: Shape) -> Dense:
    """The same network with the rows of its first layer in the order of an (H, W, C) raster."""
    if layout is Layout.HWC:
        return dense
    first = dense.layers[0]
    weights = np.empty_like(first.weights)
    weights[raster(layout, image_shape)] = first.weights
    return replace(dense, layers=(replace(first, weights=weights), *dense.layers[1:]))
