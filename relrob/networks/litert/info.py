"""Shapes, quantisation scheme and operators of a `.tflite` file, read from the flat buffer without
running it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from relrob.domain.contract import InputContract
from relrob.domain.network import Arithmetic, Dense
from relrob.errors import NetworkError, ShapeError, UnsupportedLayerError
from relrob.networks.feed import Entry
from relrob.networks.inputs import read_grid
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
# Of codes of images and scores; beyond it, reals of codes leave float32.
_LARGEST_SCALE = 2.0**100
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
    of the weights. `behind`: its weights are integers behind a DEQUANTIZE."""

    activation: int
    weights: int
    scales: int
    behind: bool = False


def read_tflite(path: str, data: bytes, output: str = "") -> Source:
    """A LiteRT classifier with one input. `output`: the name of the output with the scores, "" for
    the only one. Raises NetworkError,
    UnsupportedLayerError, ShapeError."""
    model = _parse(path, data)
    graph: Any = model.subgraphs[0]
    given = _end(path, graph, graph.inputs, "inputs", "one input, an image")
    place, chosen = _chosen(path, graph, output)
    result = _end(path, graph, [place], "outputs", "one output, a score a class")
    _check_operators(path, model)
    _check_weights(path, model)
    scheme, arithmetic = _scheme(model)
    dims, out = _dims(given), _dims(result)

    def dense(image: tuple[int, ...], entry: Entry) -> tuple[Dense, bool]:
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
        output=chosen,
        head=_head(model, place),
        reads=_reads(model, given),
        black_box=lambda runtime: black_box(file, runtime),
    )


def _chosen(path: str, graph: Any, asked: str) -> tuple[Any, str]:
    """The tensor with the scores, and its name; "" where it is the only output. Raises
    ShapeError."""
    places = [] if graph.outputs is None else [int(place) for place in graph.outputs]
    inside = [place for place in places if 0 <= place < len(graph.tensors)]
    named = {_name(graph.tensors[n]): n for n in inside}
    if len(places) == 1 and not asked:
        return places[0], ""
    if len(named) != len(places) or not places:
        raise ShapeError(f"{path} has {len(places)} outputs without names", "one output")
    if asked and asked not in named:
        raise ShapeError(f"output {asked!r} of {path}", ", ".join(named))
    able = {name: n for name, n in named.items() if _scores(graph.tensors[n])}
    chosen = [asked] if asked else [*able]
    if len(chosen) != 1:
        raise ShapeError(
            f"{path} has {len(places)} outputs ({', '.join(named)})",
            "one output, a score a class",
            f"--output {next(iter(named))}",
        )
    return named[chosen[0]], chosen[0] if len(places) > 1 else ""


def _name(tensor: Any) -> str:
    """Its name as text."""
    return (tensor.name or b"").decode(errors="replace")


def _scores(tensor: Any) -> bool:
    """May it hold rows of two scores or more?"""
    dims = _dims(tensor)
    return tensor.type in _IMAGES and len(dims) >= 2 and dims[-1] != 1


def _head(model: Any, place: Any) -> str:
    """The meaning of a single output, by the operator that makes it."""
    for _ in range(len(model.subgraphs[0].operators)):
        made = [
            operator
            for operator in model.subgraphs[0].operators
            if operator.outputs is not None and place in [int(n) for n in operator.outputs]
        ]
        if len(made) != 1 or made[0].inputs is None or not len(made[0].inputs):
            return ""
        kind = _builtin(_code(model, made[0]))
        if kind not in (_Op.RESHAPE, _Op.DEQUANTIZE, _Op.QUANTIZE):
            last = kind in (_Op.FULLY_CONNECTED, _Op.ADD, _Op.BATCH_MATMUL)
            return "probability" if kind == _Op.LOGISTIC else "logit" if last else ""
        place = int(made[0].inputs[0])
    return ""


def _reads(model: Any, given: Any) -> tuple[InputContract, str] | None:
    """The contract that the 8-bit grid of the input says, or that of a QUANTIZE behind it."""
    graph, tensor = model.subgraphs[0], given
    for operator in graph.operators:
        if tensor.type != _Type.FLOAT32 or operator.inputs is None or not len(operator.inputs):
            break
        read, made = operator.inputs, operator.outputs
        if made is None or len(made) != 1 or graph.tensors[int(read[0])] is not tensor:
            continue
        if _builtin(_code(model, operator)) not in (_Op.QUANTIZE, _Op.RESHAPE):
            break
        tensor = graph.tensors[int(made[0])]
    least = {_Type.INT8: -128, _Type.UINT8: 0}.get(tensor.type)
    held = tensor.quantization
    if least is None or held is None or held.scale is None or len(held.scale) != 1:
        return None
    zero = 0 if held.zeroPoint is None or not len(held.zeroPoint) else int(held.zeroPoint[0])
    return read_grid(float(held.scale[0]), zero, least)


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
    if tensor.type != _Type.FLOAT32:
        _check_codes(path, f"{name} {what}", np.dtype(name), scale, tensor.quantization)
    return tensor


def _check_codes(
    path: str, what: str, kind: np.dtype[Any], scale: float, quantisation: Any
) -> None:
    """Raise NetworkError for codes whose reals (q - zero point) * scale would not be told apart in
    float32, by which labels are given."""
    if not 0 < scale < np.inf:
        raise NetworkError(
            f"{path} has {what} without a scale", "quantised values with one scale above 0"
        )
    if scale > _LARGEST_SCALE:
        raise NetworkError(f"{path} has {what} of scale {scale:g}", f"up to {_LARGEST_SCALE:g}")
    zeros: Any = quantisation.zeroPoint
    zero = int(zeros[0]) if zeros is not None and len(zeros) else 0
    ends = np.iinfo(kind)
    if not ends.min <= zero <= ends.max:
        raise NetworkError(
            f"{path} has {what} with the zero point {zero}", f"{ends.min} to {ends.max}"
        )


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
                name = _name(tensor)
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
    if any(use.behind for use in uses):
        return "weight-only", Arithmetic.FLOAT32
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
        integers = _dequantised(model, graph)
        for operator in graph.operators or ():
            places = _WEIGHTED.get(_builtin(_code(model, operator)))
            if places is None or operator.inputs is None or len(operator.inputs) <= max(places):
                continue
            activation, weights = (graph.tensors[int(operator.inputs[place])] for place in places)
            scales = weights.quantization.scale if weights.quantization else None
            count = 0 if scales is None else len(scales)
            behind = int(operator.inputs[places[1]]) in integers
            found.append(_Use(activation.type, weights.type, count, behind))
    return found


def _dequantised(model: Any, graph: Any) -> set[int]:
    """The tensors that DEQUANTIZE makes of integer constants."""
    return {
        int(operator.outputs[0])
        for operator in graph.operators or ()
        if _builtin(_code(model, operator)) == _Op.DEQUANTIZE
        and operator.inputs is not None
        and operator.outputs is not None
        and len(operator.inputs) == len(operator.outputs) == 1
        and graph.tensors[int(operator.inputs[0])].type in (_Type.INT8, _Type.UINT8, _Type.INT4)
        and _data(model, graph.tensors[int(operator.inputs[0])]) is not None
    }
