"""Small `.tflite` files and edits of their flat buffers, for the strict reader."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.make_kernels import Full, Kind, Step, write

OP = schema.BuiltinOperator
SIZES = (20, 16, 5)
Change = Callable[[Any, Any], None]  # (model, its graph)


def edited(data: bytes, change: Change) -> bytes:
    """A file with its flat buffer changed."""
    model: Any = schema.ModelT.InitFromPackedBuf(data, 0)
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def layers(int8: bool, per_channel: bool = True, asymmetric: bool = False) -> list[Full | Step]:
    """ReLU, none over SIZES."""
    rng, steps = np.random.default_rng(3), list[Full | Step]()
    for number, (n_in, n_out) in enumerate(itertools.pairwise(SIZES)):
        relu = number < len(SIZES) - 2
        scales = (0.02 * np.exp(rng.normal(0, 0.3, n_out if per_channel else 1))).astype(np.float32)
        bias = (
            rng.integers(-900, 900, n_out).astype(np.int32)
            if int8
            else rng.standard_normal(n_out).astype(np.float32)
        )
        out = Kind(float(np.float32(0.1 * (number + 1))), -128 if relu else 3) if int8 else Kind()
        steps.append(
            Full(
                rng.integers(-127, 128, (n_out, n_in)).astype(np.int8),
                bias,
                scales,
                relu,
                out,
                asymmetric,
            )
        )
    return steps


GRID = Kind(float(np.float32(1 / 255)), -128)
LAST = Kind(float(np.float32(0.2)), 3)
PROBABILITY = Kind(1 / 256, -128)


def unsigned(kind: Kind) -> Kind:
    """The uint8 grid of the same reals."""
    return Kind(kind.scale, kind.zero + 128, unsigned=True)


def plain_files() -> dict[str, bytes]:
    """One file of each kind that is modelled."""
    int8, soft = layers(int8=True), Step("softmax", PROBABILITY)
    rng = np.random.default_rng(4)
    real = [
        Full(
            rng.standard_normal((16, 20)).astype(np.float32),
            rng.standard_normal(16).astype(np.float32),
            relu=True,
        ),
        Full(rng.standard_normal((5, 16)).astype(np.float32), None),
    ]
    return {
        "int8": write(20, GRID, int8),
        "int8-per-tensor": write(20, GRID, layers(int8=True, per_channel=False)),
        "int8-softmax": write(20, GRID, [*int8, soft]),
        "int8-float-ends": write(
            20, Kind(), [Step("quantize", GRID), *int8, soft, Step("dequantize")]
        ),
        "int8-logits-float-ends": write(
            20, Kind(), [Step("quantize", GRID), *int8, Step("dequantize")]
        ),
        "int8-uint8-ends": write(
            20,
            unsigned(GRID),
            [Step("quantize", GRID), *int8, soft, Step("quantize", unsigned(PROBABILITY))],
        ),
        "int8-reshape": write(20, GRID, [Step("reshape", GRID), *int8]),
        "dynamic": write(20, Kind(), layers(int8=False)),
        "dynamic-per-tensor": write(
            20, Kind(), [*layers(int8=False, per_channel=False), Step("softmax")]
        ),
        "dynamic-asymmetric": write(20, Kind(), layers(int8=False, asymmetric=True)),
        "float": write(20, Kind(), [*real, Step("softmax")]),
    }


FILES = plain_files()


def add_operator(
    model: Any, graph: Any, kind: int, inputs: list[int], like: int, options: Any = None
) -> Any:
    """An operator at the end of the graph and a tensor for its result, made like the tensor `like`;
    the result is the output."""
    code: Any = schema.OperatorCodeT()
    code.builtinCode, code.deprecatedBuiltinCode, code.version = kind, min(kind, 127), 1
    model.operatorCodes.append(code)
    tensor: Any = schema.TensorT()
    old = graph.tensors[like]
    tensor.shape, tensor.shapeSignature, tensor.type = old.shape, old.shapeSignature, old.type
    tensor.quantization, tensor.name = old.quantization, b"added"
    graph.tensors.append(tensor)
    operator: Any = schema.OperatorT()
    operator.opcodeIndex, operator.inputs = len(model.operatorCodes) - 1, inputs
    operator.outputs = [len(graph.tensors) - 1]
    if options is not None:
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(
            schema.BuiltinOptions, type(options).__name__.removesuffix("T")
        )
    graph.operators.append(operator)
    graph.outputs = operator.outputs
    return operator


def add_constant(model: Any, graph: Any, values: Any) -> int:
    """A constant int32 or float32 tensor."""
    array = np.asarray(values)
    buffer: Any = schema.BufferT()
    buffer.data = np.frombuffer(array.tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor: Any = schema.TensorT()
    tensor.shape, tensor.buffer, tensor.name = (
        list(array.shape),
        len(model.buffers) - 1,
        b"constant",
    )
    tensor.type = schema.TensorType.INT32 if array.dtype == np.int32 else schema.TensorType.FLOAT32
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1
