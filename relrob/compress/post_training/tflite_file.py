"""The contents of a converted `.tflite` file, read without running it: the weights, their types and
their scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from relrob.domain.arrays import Floats

TYPES: dict[int, type[np.generic]] = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT8: np.int8,
    schema.TensorType.INT16: np.int16,
    schema.TensorType.INT32: np.int32,
    schema.TensorType.INT64: np.int64,
    schema.TensorType.UINT8: np.uint8,
}
WEIGHTED = (
    schema.BuiltinOperator.FULLY_CONNECTED,
    schema.BuiltinOperator.CONV_2D,
    schema.BuiltinOperator.DEPTHWISE_CONV_2D,
    schema.BuiltinOperator.TRANSPOSE_CONV,
)


@dataclass(frozen=True, eq=False)
class Weights:
    """The weights of one operator as the file stores them.

    `values`: in the file's shape and type. `scales`: empty for floats. `activations`: the type name
    of the operator's input ("float32", "int8", "int16"). `channels`: its number of outputs.
    `asymmetric`: a float input is quantised at run time with a zero point.
    """

    name: str
    values: NDArray[Any]
    scales: Floats
    activations: str
    channels: int
    asymmetric: bool

    @property
    def type(self) -> str:
        """Name of the stored type: "int8", "float16", "float32"."""
        return str(self.values.dtype)


@dataclass(frozen=True, eq=False)
class Contents:
    """`inputs` and `outputs`: type names; `weights`: of every dense and convolution operator, in
    execution order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weights: tuple[Weights, ...]


def contents(data: bytes) -> Contents:
    """The contents of a file that the converter has just written. It is not for untrusted files."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    graph = model.subgraphs[0]
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    # Weights of float16 pass through DEQUANTIZE before their operator.
    stored_as = {
        op.outputs[0]: op.inputs[0]
        for op in graph.operators
        if codes[op.opcodeIndex] == schema.BuiltinOperator.DEQUANTIZE
        and _constant(model, graph.tensors[op.inputs[0]])
    }
    weights = []
    for op in graph.operators:
        code = codes[op.opcodeIndex]
        if code not in WEIGHTED:
            continue
        tensor = graph.tensors[stored_as.get(op.inputs[1], op.inputs[1])]
        place = 2 if code == schema.BuiltinOperator.TRANSPOSE_CONV else 0
        if _constant(model, tensor):
            activations = _type(graph.tensors[op.inputs[place]])
            channels = int(graph.tensors[op.outputs[0]].shape[-1])
            asymmetric = bool(getattr(op.builtinOptions, "asymmetricQuantizeInputs", False))
            weights.append(Weights(*_stored(model, tensor), activations, channels, asymmetric))
    return Contents(
        tuple(_type(graph.tensors[i]) for i in graph.inputs),
        tuple(_type(graph.tensors[i]) for i in graph.outputs),
        tuple(weights),
    )


def _constant(model: Any, tensor: Any) -> bool:
    """Does the file hold the tensor's values?"""
    stored = model.buffers[tensor.buffer].data
    return stored is not None and len(stored) > 0


def _type(tensor: Any) -> str:
    """Name of a tensor's type."""
    return np.dtype(TYPES[tensor.type]).name if tensor.type in TYPES else f"type {tensor.type}"


def _stored(model: Any, tensor: Any) -> tuple[str, NDArray[Any], Floats]:
    """Name, values and scales of a constant."""
    stored = np.asarray(model.buffers[tensor.buffer].data, dtype=np.uint8).tobytes()
    values = np.frombuffer(stored, dtype=TYPES[tensor.type]).reshape(tensor.shape)
    scales = None if tensor.quantization is None else tensor.quantization.scale
    return (
        tensor.name.decode(),
        values,
        np.asarray([] if scales is None else scales, dtype=np.float32),
    )
