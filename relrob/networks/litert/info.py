"""Shapes, quantisation scheme and operators of a `.tflite` file, read from the flat buffer without
running it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from relrob.domain.network import Arithmetic, Dense
from relrob.errors import NetworkError, ShapeError, UnsupportedLayerError
from relrob.networks.litert.apart import treats_apart
from relrob.networks.litert.enclosure import black_box
from relrob.networks.litert.file import LiteRtFile
from relrob.networks.litert.flatbuffer import verify
from relrob.networks.operators import NotDenseError
from relrob.networks.source import Source
from relrob.system.files import sha256_bytes

_Type, _Op = schema.TensorType, schema.BuiltinOperator
_NAMES = {
    _Type.FLOAT32: "float32",
    _Type.FLOAT16: "float16",
    _Type.INT8: "int8",
    _Type.UINT8: "uint8",
    _Type.INT16: "int16",
    _Type.INT4: "int4",
    _Type.INT32: "int32",
    _Type.INT64: "int64",
    _Type.STRING: "string",
    _Type.BOOL: "bool",
}
_IMAGES = (_Type.FLOAT32, _Type.INT8, _Type.UINT8, _Type.INT16)
# Operator -> (place of its activation, place of its weights) among its inputs.
_WEIGHTED = {
    _Op.FULLY_CONNECTED: (0, 1),
    _Op.CONV_2D: (0, 1),
    _Op.DEPTHWISE_CONV_2D: (0, 1),
    _Op.CONV_3D: (0, 1),
    _Op.BATCH_MATMUL: (0, 1),
    _Op.TRANSPOSE_CONV: (2, 1),
}
_LOOPS = (_Op.WHILE, _Op.STABLEHLO_WHILE)


@dataclass(frozen=True)
class _Use:
    """One operator with weights: the types of its activation and weights, and the number of scales
    of the weights."""

    activation: int
    weights: int
    scales: int


def read_tflite(path: str, data: bytes) -> Source:
    """A LiteRT classifier with one input and one output. Raises NetworkError,
    UnsupportedLayerError, ShapeError."""
    model = _parse(path, data)
    graph: Any = model.subgraphs[0]
    given = _end(path, graph, graph.inputs, "inputs", "one input, an image")
    result = _end(path, graph, graph.outputs, "outputs", "one output, a score a class")
    _check_operators(path, model)
    _check_weights(path, model)
    scheme, arithmetic = _scheme(model)
    dims, out = _dims(given), _dims(result)

    def dense(image: tuple[int, ...]) -> tuple[Dense, bool]:
        raise NotDenseError(f"a .tflite file is run as it is, not read ({scheme})")

    classes = out[-1] if out and out[-1] > 0 else None
    file = LiteRtFile(data)
    return Source(
        "tflite",
        dims,
        classes,
        sha256_bytes(data),
        dense,
        scheme,
        arithmetic,
        apart=treats_apart(file),
        black_box=lambda runtime: black_box(file, runtime),
    )


def _parse(path: str, data: bytes) -> Any:
    """The flat buffer as objects."""
    verify(path, data)
    try:
        model = cast(Any, schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0)))
        if (
            not model.subgraphs
            or not model.subgraphs[0].tensors
            or not model.subgraphs[0].operators
        ):
            raise NetworkError(f"{path} holds no operators", "a LiteRT model", "convert it again")
    except (
        struct.error,
        ValueError,
        IndexError,
        TypeError,
        AttributeError,
        MemoryError,
        OverflowError,
    ) as error:
        raise NetworkError(
            f"{path} is not a whole .tflite file: {error}", "an undamaged file", "copy it again"
        ) from error
    if model.externalBuffers:
        raise NetworkError(
            f"{path} keeps weights in other files", "one self-contained .tflite file"
        )
    return model


def _end(path: str, graph: Any, indices: Any, what: str, accepted: str) -> Any:
    """The tensor at the one end of the graph, of a type that images and scores have."""
    places = [] if indices is None else [int(place) for place in indices]
    if len(places) != 1:
        raise ShapeError(f"{path} has {len(places)} {what}", accepted)
    index = places[0]
    if not 0 <= index < len(graph.tensors):
        raise NetworkError(
            f"{path} is not a whole .tflite file: it names tensor {index}",
            "an undamaged file",
            "copy it again",
        )
    tensor = graph.tensors[index]
    name = _NAMES.get(tensor.type, f"type {tensor.type}")
    if tensor.type not in _IMAGES:
        raise NetworkError(f"{path} has {name} {what}", "float32, int8, uint8 or int16")
    scales: Any = tensor.quantization.scale if tensor.quantization else None
    scale = float(scales[0]) if scales is not None and len(scales) == 1 else 0.0
    if tensor.type != _Type.FLOAT32 and not 0 < scale < np.inf:
        raise NetworkError(
            f"{path} has {name} {what} without a scale", "quantised values with one scale above 0"
        )
    return tensor


def _dims(tensor: Any) -> tuple[int, ...]:
    """The shape with its batch, -1 where open."""
    dims = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    return () if dims is None else tuple(int(n) for n in dims)


def _code(model: Any, operator: Any) -> Any:
    """The operator's code."""
    return model.operatorCodes[operator.opcodeIndex]


def _builtin(code: Any) -> int:
    """The number of an operator's code, which old files keep in the first, narrower field."""
    return max(int(code.builtinCode), int(code.deprecatedBuiltinCode))


def _check_operators(path: str, model: Any) -> None:
    """Raise UnsupportedLayerError for custom operators, TensorFlow's own among them, which are code
    that LiteRT does not have."""
    for graph in model.subgraphs:
        for position, operator in enumerate(graph.operators or (), start=1):
            code = _code(model, operator)
            if _builtin(code) == _Op.CUSTOM:
                name = (code.customCode or b"").decode(errors="replace")
                raise UnsupportedLayerError(
                    f"{path}: operator {position} is the custom operator {name!r}",
                    "LiteRT's built-in operators",
                    "convert with TFLITE_BUILTINS only",
                )
            if _builtin(code) in _LOOPS:
                raise UnsupportedLayerError(
                    f"{path}: operator {position} is a loop: how often it runs may depend "
                    "on the pixels",
                    "as much work for every image",
                    "export it without a loop",
                )


def _check_weights(path: str, model: Any) -> None:
    """Raise NetworkError for float constants that are not finite."""
    types: dict[int, type[np.floating[Any]]] = {
        _Type.FLOAT32: np.float32,
        _Type.FLOAT16: np.float16,
    }
    for graph in model.subgraphs:
        for tensor in graph.tensors or ():
            data, kind = _data(model, tensor), types.get(tensor.type)
            if kind is None or data is None or len(data) % np.dtype(kind).itemsize:
                continue
            values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), kind)
            if not np.isfinite(values).all():
                name = (tensor.name or b"").decode(errors="replace")
                raise NetworkError(
                    f"{path}: tensor {name!r} has NaN or infinite weights",
                    "finite values",
                    "train again",
                )


def _data(model: Any, tensor: Any) -> Any:
    """The bytes of a constant, or None."""
    data = model.buffers[tensor.buffer].data if 0 <= tensor.buffer < len(model.buffers) else None
    return None if data is None or len(data) == 0 else data


def _scheme(model: Any) -> tuple[str, Arithmetic]:
    """The quantisation scheme, from the operators that have weights, and whether its kernels are
    integer."""
    uses = _uses(model)
    quantised = [use for use in uses if use.weights in (_Type.INT8, _Type.UINT8, _Type.INT4)]
    kinds = {use.activation for use in quantised}
    if _Type.INT16 in kinds:
        return "int16x8", Arithmetic.INTEGER
    several = any(use.scales > 1 for use in quantised)
    if _Type.INT8 in kinds:
        return ("int8" if several else "int8-per-tensor"), Arithmetic.INTEGER
    if _Type.UINT8 in kinds:
        return "uint8", Arithmetic.INTEGER
    if _Type.FLOAT32 in kinds:
        return ("dynamic-per-channel" if several else "dynamic"), Arithmetic.INTEGER
    half = any(
        t.type == _Type.FLOAT16 and _data(model, t) is not None
        for g in model.subgraphs
        for t in g.tensors or ()
    )
    return ("float16" if half else "float32"), Arithmetic.FLOAT32


def _uses(model: Any) -> list[_Use]:
    """Every operator with weights, in every subgraph."""
    found = []
    for graph in model.subgraphs:
        for operator in graph.operators or ():
            places = _WEIGHTED.get(_builtin(_code(model, operator)))
            if places is None or operator.inputs is None or len(operator.inputs) <= max(places):
                continue
            activation, weights = (graph.tensors[int(operator.inputs[place])] for place in places)
            scales = weights.quantization.scale if weights.quantization else None
            found.append(_Use(activation.type, weights.type, 0 if scales is None else len(scales)))
    return found
