"""A dense `.tflite` file as a chain of layers, or the reason why it is not one."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NoReturn

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from relrob.domain.arrays import Floats
from relrob.networks.kernels.litert_layers import (
    Dequantise,
    DynamicFull,
    FloatFull,
    Grid,
    Int8Full,
    Layer,
    Quantise,
    Softmax,
)

_Type, _Op, _Activation = schema.TensorType, schema.BuiltinOperator, schema.ActivationFunctionType
_NAMES = {value: name for name, value in vars(_Op).items() if isinstance(value, int)}
_KINDS: dict[int, type[np.generic]] = {_Type.FLOAT32: np.float32, _Type.INT32: np.int32, _Type.INT8: np.int8}
_SOFTMAX_OUT = Grid(1 / 256, -128)


class NotEmulatedError(Exception):
    """The file or its runtime is outside what is emulated; the message says why."""


@dataclass(frozen=True, eq=False)
class Chain:
    """`layers` in order and the `positions` of their operators; `given`, `result`: the grids of int8 ends, None for float ones.

    `widths`: number of values an image before each layer and after the last.
    """

    layers: tuple[Layer, ...]
    positions: tuple[int, ...]
    widths: tuple[int, ...]
    given: Grid | None
    result: Grid | None


def read_chain(data: bytes) -> Chain:
    """The layers of a `.tflite` file that LiteRT has already accepted. Raises NotEmulatedError."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    if len(model.subgraphs) != 1:
        _not(f"{len(model.subgraphs)} subgraphs")
    graph = model.subgraphs[0]
    place = int(graph.inputs[0])
    given = _grid(graph.tensors[place])
    layers: list[Layer] = []
    positions, widths = [], [_width(graph.tensors[place])]
    for position, operator in enumerate(graph.operators):
        inputs = [int(index) for index in operator.inputs]
        if not inputs or inputs[0] != place or len(operator.outputs) != 1:
            _not(f"operator {position} does not continue a chain")
        place = int(operator.outputs[0])
        before, after = graph.tensors[inputs[0]], graph.tensors[place]
        layer = _layer(model, graph, operator, before, after)
        if layer is not None:
            layers.append(layer)
            positions.append(position)
            widths.append(_width(after))
        elif _width(after) != widths[-1]:
            _not(f"operator {position} changes the number of values of an image")
    if place != int(graph.outputs[0]) or not layers:
        _not("the output is not the end of the chain")
    return Chain(tuple(layers), tuple(positions), tuple(widths), given, _grid(graph.tensors[place]))


def _not(reason: str) -> NoReturn:
    raise NotEmulatedError(reason)


def _layer(model: Any, graph: Any, operator: Any, before: Any, after: Any) -> Layer | None:
    """The value of one operator, None for one that changes no number."""
    known = model.operatorCodes[operator.opcodeIndex]
    code = max(int(known.builtinCode), int(known.deprecatedBuiltinCode))
    given, out = _grid(before), _grid(after)
    if code == _Op.FULLY_CONNECTED:
        return _full(model, graph, operator, given, out)
    if code == _Op.RESHAPE and given == out:
        return None
    if code == _Op.QUANTIZE and given is None and out is not None:
        return Quantise(out)
    if code == _Op.DEQUANTIZE and given is not None and out is None:
        return Dequantise(given)
    if code == _Op.SOFTMAX and (given is None) == (out is None):
        if float(operator.builtinOptions.beta) != 1.0 or out not in (None, _SOFTMAX_OUT):
            _not("a SOFTMAX with a beta or an output scale of its own")
        return Softmax(given, out)
    _not(f"operator {_NAMES.get(code, code)} between {before.type} and {after.type}")


def _full(model: Any, graph: Any, operator: Any, given: Grid | None, out: Grid | None) -> Layer:
    """FULLY_CONNECTED of one of the three kinds."""
    options, tensor = operator.builtinOptions, graph.tensors[operator.inputs[1]]
    if options.fusedActivationFunction not in (_Activation.NONE, _Activation.RELU) or options.weightsFormat:
        _not("FULLY_CONNECTED with another activation than ReLU, or shuffled weights")
    relu = options.fusedActivationFunction == _Activation.RELU
    stored = _constant(model, tensor)
    if stored.ndim != 2 or stored.shape[1] != _width(graph.tensors[operator.inputs[0]]):
        _not(f"FULLY_CONNECTED with weights of shape {stored.shape}")
    weights = stored.T
    bias_at = int(operator.inputs[2]) if len(operator.inputs) > 2 else -1
    kind = np.dtype(np.float32 if given is None else np.int32)
    bias: NDArray[Any] = np.zeros(weights.shape[1], kind)
    if bias_at >= 0:
        bias = _constant(model, graph.tensors[bias_at])
    if bias.shape != (weights.shape[1],) or bias.dtype != kind:
        _not(f"a bias of shape {bias.shape} and type {bias.dtype}")
    if weights.dtype == np.float32 and given is None and out is None:
        return FloatFull(weights, bias, relu)
    scales = _scales(tensor, weights)
    if given is not None and out is not None:
        return Int8Full(weights, bias, scales, relu, given, out)
    if given is None and out is None:
        return DynamicFull(weights, bias, scales, relu, bool(options.asymmetricQuantizeInputs))
    _not("FULLY_CONNECTED from one type to another")


def _scales(tensor: Any, weights: NDArray[Any]) -> Floats:
    """The scales of int8 weights: symmetric, one a tensor or one an output."""
    found = tensor.quantization
    if weights.dtype != np.int8 or found is None or found.scale is None:
        _not(f"weights of type {weights.dtype} without scales")
    scales = np.asarray(found.scale, np.float32)
    zeros = np.zeros(1) if found.zeroPoint is None else np.asarray(found.zeroPoint)
    if len(scales) not in (1, weights.shape[1]) or (len(scales) > 1 and found.quantizedDimension != 0) or zeros.any():
        _not("weights with zero points, or scales along another dimension")
    if not (np.isfinite(scales).all() and (scales > 0).all()):
        _not("weights with a scale that is not above 0")
    return scales


def _constant(model: Any, tensor: Any) -> NDArray[Any]:
    """The values of a constant in its own shape."""
    data = model.buffers[tensor.buffer].data
    kind = _KINDS.get(tensor.type)
    if data is None or kind is None or tensor.sparsity is not None:
        _not(f"a constant of type {tensor.type}, computed or sparse")
    values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), kind)
    dims = tuple(int(n) for n in tensor.shape)
    if values.size != prod(dims):
        _not(f"a constant of {values.size} values for shape {dims}")
    return values.reshape(dims)


def _grid(tensor: Any) -> Grid | None:
    """The grid of an int8 activation, None for float32."""
    if tensor.type == _Type.FLOAT32:
        return None
    found = tensor.quantization
    if tensor.type != _Type.INT8 or found is None or found.scale is None or len(found.scale) != 1:
        _not(f"an activation of type {tensor.type}")
    scale, zero = float(found.scale[0]), 0 if found.zeroPoint is None else int(found.zeroPoint[0])
    if not 0 < scale < np.inf or not -128 <= zero <= 127:
        _not(f"an activation with scale {scale} and zero point {zero}")
    return Grid(scale, zero)


def _width(tensor: Any) -> int:
    """Values an image; the first dimension is the batch."""
    dims = [int(n) for n in (tensor.shape if tensor.shape is not None else [])]
    if len(dims) < 2 or dims[0] != 1 or min(dims) < 1:
        _not(f"an activation of shape {dims}")
    return prod(dims[1:])
