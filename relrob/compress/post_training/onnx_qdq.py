"""Static QDQ quantisation with onnxruntime: 7-bit weights in int8, a scale an output channel, int8
activations, MinMax ranges.

Eight bits would make one file two different networks: x86 processors without VNNI add products in
pairs in int16, where sums of 8-bit products saturate (onnxruntime, "Quantize ONNX Models":
`reduce_range`).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from relrob.compress.calibration import Calibration
from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import QuantiseError, ShapeError
from relrob.networks.batches import one_line
from relrob.networks.content import checked_bytes
from relrob.networks.feed import fed
from relrob.networks.onnx.export import to_onnx
from relrob.networks.shapes import Shape, raster, without_batch
from relrob.system.quiet import quiet_native
from relrob.system.temporary import temporary_folder


def quantise(
    reference: Network, scheme: str, calibration: Calibration | None, image_shape: Shape
) -> bytes:
    """The `.onnx` bytes of a float network, which reads pixels in the order of its reference. The
    same input gives the same bytes.

    An `.onnx` file is quantised itself. Other MLPs become a flat (n, d) input and Gemm operators.
    Raises QuantiseError: not an ONNX network nor an MLP, onnxruntime refuses it, or nothing was
    quantised.
    """
    if calibration is None:
        raise QuantiseError("calibration images are missing", "a Calibration")
    model = _source(reference, image_shape)
    name, form = _input(model, reference.path, image_shape)
    values = fed(calibration.images, reference)
    images = values[:, raster(reference.layout, image_shape)].reshape(len(values), 1, *form)
    with (
        quiet_native(),
        _root_logger_kept(),
        warnings.catch_warnings(),
        temporary_folder() as folder,
    ):
        warnings.simplefilter("ignore")
        try:
            data = _run(model, _Reader(name, images), folder)
        # onnxruntime raises errors of any class.
        except Exception as error:
            raise QuantiseError(
                f"{reference.path} as {scheme}: {one_line(error)}", hint="another scheme"
            ) from error
    _verify(data, scheme, reference.path)
    return bytes(data.SerializeToString(deterministic=True))


def _source(reference: Network, image_shape: Shape) -> onnx.ModelProto:
    """The float graph: the user's file, or one exported from the weights, rows in the file's own
    pixel order."""
    dense = reference.dense
    if dense is not None and reference.format != "onnx":
        first = dense.layers[0]
        rows = replace(first, weights=first.weights[raster(reference.layout, image_shape)])
        return onnx.load_model_from_string(
            to_onnx(replace(dense, layers=(rows, *dense.layers[1:])))
        )
    checked_bytes(reference)
    return onnx.load(reference.path)


def _input(model: onnx.ModelProto, path: str, image_shape: Shape) -> tuple[str, tuple[int, ...]]:
    """Name of the one input that is not a weight, and the shape of one image in it."""
    held = {tensor.name for tensor in model.graph.initializer}
    given = next(value for value in model.graph.input if value.name not in held)
    dims = tuple(
        d.dim_value if d.HasField("dim_value") else -1 for d in given.type.tensor_type.shape.dim
    )
    form, batched = without_batch(dims, image_shape)
    if not batched or prod(form) != prod(image_shape):
        raise ShapeError(f"{path} reads {dims}", f"a batch of images of {image_shape}")
    return given.name, form


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """A source of calibration images for onnxruntime, one at a time."""

    def __init__(self, name: str, images: Floats) -> None:
        self._feeds = iter({name: image} for image in images)

    def get_next(self) -> Any:
        """The next feed, None at the end."""
        return next(self._feeds, None)


def _run(model: onnx.ModelProto, reader: CalibrationDataReader, folder: Path) -> onnx.ModelProto:
    """Infer shapes, calibrate, quantise."""
    source, prepared, target = (
        folder / "float.onnx",
        folder / "prepared.onnx",
        folder / "quantised.onnx",
    )
    onnx.save(model, source)
    quant_pre_process(source, prepared)
    onnx.save(_flat_biases(onnx.load(prepared)), prepared)
    quantize_static(
        prepared,
        target,
        reader,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QInt8,
        calibrate_method=CalibrationMethod.MinMax,
    )
    return onnx.load(target)


def _flat_biases(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the biases (1, n) of Gemm, as fused from skl2onnx's MatMul and Add, as (n,):
    with a scale an output channel onnxruntime 1.31 takes no others."""
    biases = {
        node.input[2] for node in model.graph.node if node.op_type == "Gemm" and len(node.input) > 2
    }
    for tensor in model.graph.initializer:
        if tensor.name in biases and len(tensor.dims) == 2 and tensor.dims[0] == 1:
            tensor.dims[:] = tensor.dims[1:]
    return model


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Keep the root logger of a program as it is. onnxruntime calls `logging.warning`, which would
    set it up."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _verify(model: onnx.ModelProto, scheme: str, path: str) -> None:
    """Refuse a file without int8 weights, or with weights that have not one scale a channel."""
    held = {tensor.name: tensor for tensor in model.graph.initializer}
    found = 0
    for node in model.graph.node:
        tensor = held.get(node.input[0]) if node.op_type == "DequantizeLinear" else None
        if tensor is None or tensor.data_type != TensorProto.INT8 or len(tensor.dims) < 2:
            continue
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        scales = prod(held[node.input[1]].dims)
        if scales != tensor.dims[axis]:
            raise QuantiseError(
                f"{path} as {scheme}: {tensor.name} has {scales} scales", f"{tensor.dims[axis]}"
            )
        found += 1
    if not found:
        raise QuantiseError(
            f"{path}: nothing was quantised as {scheme}",
            "a network with Gemm, MatMul or Conv weights",
        )
