"""Dense `.tflite` files written straight into the flat buffer, with any scale, zero point and
weight; no TensorFlow."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

Rng = np.random.Generator
_OP = schema.BuiltinOperator
_TYPES = {np.dtype(np.float32): 0, np.dtype(np.int32): 2, np.dtype(np.int8): 9}
_VERSIONS = {
    _OP.FULLY_CONNECTED: 5,
    _OP.SOFTMAX: 2,
    _OP.QUANTIZE: 2,
    _OP.DEQUANTIZE: 2,
    _OP.RESHAPE: 1,
}


@dataclass(frozen=True)
class Kind:
    """The type of an activation: float32 when `scale` is 0, int8 otherwise, or uint8."""

    scale: float = 0.0
    zero: int = 0
    unsigned: bool = False


@dataclass(frozen=True, eq=False)
class Full:
    """FULLY_CONNECTED: `weights` (n_out, n_in) int8 or float32, `scales` of int8 ones (1 or n_out),
    `bias` int32 or float32."""

    weights: NDArray[Any]
    bias: NDArray[Any] | None
    scales: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    relu: bool = False
    out: Kind = Kind()
    asymmetric: bool = False


@dataclass(frozen=True)
class Step:
    """An operator without weights: "softmax", "quantize", "dequantize" or "reshape"; its output's
    type."""

    name: str
    out: Kind = Kind()


def write(inputs: int, given: Kind, steps: list[Full | Step], relu_code: int = 1) -> bytes:
    """The bytes of a chain of operators over a batch of flat inputs; its batch can be resized."""
    model: Any = schema.ModelT()
    model.version, model.buffers, model.operatorCodes = 3, [schema.BufferT()], []
    graph: Any = schema.SubGraphT()
    graph.tensors, graph.operators, graph.name = [], [], b"main"
    width, place = inputs, _tensor(model, graph, (1, inputs), given)
    graph.inputs = [place]
    scale = given.scale
    for step in steps:
        sources = [place]
        if isinstance(step, Full):
            width = len(step.weights)
            sources.append(_constant(model, graph, step.weights, step.scales))
            bias_scales = (
                (np.float32(scale) * step.scales).astype(np.float32) if scale else step.scales[:0]
            )
            sources.append(
                -1 if step.bias is None else _constant(model, graph, step.bias, bias_scales)
            )
        place = _tensor(model, graph, (1, width), step.out)
        graph.operators.append(_operator(model, step, sources, place, relu_code))
        scale = step.out.scale
    graph.outputs = [place]
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _operator(model: Any, step: Full | Step, sources: list[int], place: int, relu_code: int) -> Any:
    """One operator and its options."""
    operator: Any = schema.OperatorT()
    operator.inputs, operator.outputs = sources, [place]
    if isinstance(step, Full):
        code, options = _OP.FULLY_CONNECTED, schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = relu_code if step.relu else 0
        options.asymmetricQuantizeInputs = step.asymmetric
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    elif step.name == "softmax":
        code, options = _OP.SOFTMAX, schema.SoftmaxOptionsT()
        options.beta = 1.0
        operator.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    elif step.name == "reshape":
        code, options = _OP.RESHAPE, schema.ReshapeOptionsT()
        options.newShape = [-1, model_width(model)]
        operator.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    else:
        code, options = (_OP.QUANTIZE if step.name == "quantize" else _OP.DEQUANTIZE), None
    operator.builtinOptions = options
    operator.opcodeIndex = _code(
        model, code, 9 if isinstance(step, Full) and step.asymmetric else _VERSIONS[code]
    )
    return operator


def model_width(model: Any) -> int:
    """Number of values of the tensor written last."""
    return int(model.width)


def _code(model: Any, code: int, version: int) -> int:
    """The index of an operator code, added when new."""
    for index, known in enumerate(model.operatorCodes):
        if (known.builtinCode, known.version) == (code, version):
            return index
    added: Any = schema.OperatorCodeT()
    added.builtinCode, added.deprecatedBuiltinCode, added.version = code, code, version
    model.operatorCodes.append(added)
    return len(model.operatorCodes) - 1


def _tensor(model: Any, graph: Any, shape: tuple[int, ...], kind: Kind) -> int:
    """An activation of `shape` whose first dimension is open."""
    tensor: Any = schema.TensorT()
    tensor.shape, tensor.shapeSignature = list(shape), [-1, *shape[1:]]
    tensor.name, tensor.buffer, tensor.type = (
        f"t{len(graph.tensors)}".encode(),
        0,
        9 if kind.scale else 0,
    )
    if kind.unsigned:
        tensor.type = schema.TensorType.UINT8
    if kind.scale:
        tensor.quantization = _quantization(np.array([kind.scale], np.float32), [kind.zero])
    model.width = shape[1]
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _constant(model: Any, graph: Any, values: NDArray[Any], scales: NDArray[np.float32]) -> int:
    """A constant and its buffer."""
    buffer: Any = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    model.buffers.append(buffer)
    tensor: Any = schema.TensorT()
    tensor.shape, tensor.type = list(values.shape), _TYPES[values.dtype]
    tensor.name, tensor.buffer = f"t{len(graph.tensors)}".encode(), len(model.buffers) - 1
    if len(scales):
        tensor.quantization = _quantization(scales, [0] * len(scales))
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def _quantization(scales: NDArray[np.float32], zeros: list[int]) -> Any:
    """Scales and zero points along the first dimension."""
    found: Any = schema.QuantizationParametersT()
    found.scale, found.zeroPoint = np.asarray(scales, np.float32), np.asarray(zeros, np.int64)
    return found


def hostile_scales(rng: Rng, count: int, middle: float) -> NDArray[np.float32]:
    """Scales around `middle`: alike, powers of two (ties), spread over six decades, or one of them
    huge."""
    kind = rng.integers(4)
    scales = middle * np.exp(rng.normal(0, 0.3, count))
    if kind == 1:
        scales = 2.0 ** np.rint(np.log2(scales))
    elif kind == 2:
        scales = middle * 10.0 ** rng.uniform(-3, 3, count)
    elif kind == 3:
        scales[rng.integers(count)] *= 1000
    return scales.astype(np.float32)


def random_weights(rng: Rng, n_in: int, n_out: int) -> NDArray[np.int8]:
    """(n_out, n_in): dense noise, mostly zero, or all at the ends."""
    weights = rng.integers(-127, 128, (n_out, n_in))
    kind = rng.integers(4)
    if kind == 1:
        weights *= rng.random(weights.shape) < 0.1
    elif kind == 2:
        weights = np.sign(weights) * 127
    return weights.astype(np.int8)


def random_sizes(rng: Rng) -> list[int]:
    """Widths of a network of one to three layers; odd ones among them."""
    return [int(rng.integers(1, 70)) for _ in range(rng.integers(1, 4))] + [
        int(rng.integers(2, 12))
    ]


def random_dynamic(rng: Rng) -> tuple[bytes, int, int]:
    """(file, inputs, classes): dynamic-range layers, some left in float, with or without
    SOFTMAX."""
    sizes = random_sizes(rng)
    steps: list[Full | Step] = []
    for number, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        relu, bias = number < len(sizes) - 2, rng.standard_normal(n_out).astype(np.float32)
        if rng.random() < 0.15:
            steps.append(
                Full(rng.standard_normal((n_out, n_in)).astype(np.float32), bias, relu=relu)
            )
            continue
        scales = hostile_scales(rng, n_out if rng.random() < 0.5 else 1, 0.02)
        asymmetric = bool(rng.random() < 0.4)
        kept = None if rng.random() < 0.1 else bias * np.float32(rng.choice([0, 1, 100]))
        steps.append(
            Full(random_weights(rng, n_in, n_out), kept, scales, relu, asymmetric=asymmetric)
        )
    if rng.random() < 0.5:
        steps.append(Step("softmax"))
    return write(sizes[0], Kind(), steps), sizes[0], sizes[-1]


def random_int8(rng: Rng) -> tuple[bytes, int, int]:
    """(file, inputs, classes): full-integer layers; float ends, RESHAPE and SOFTMAX at random."""
    sizes, steps = random_sizes(rng), list[Full | Step]()
    given = Kind(
        float(np.float32(rng.choice([1 / 255, 1 / 256, 0.013]))), int(rng.integers(-128, 128))
    )
    float_ends, unsigned = rng.random() < 0.4, rng.random() < 0.3
    if float_ends or unsigned:
        steps.append(Step("quantize", given))
    now = given
    for number, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        weights = random_weights(rng, n_in, n_out)
        scales = hostile_scales(rng, n_out if rng.random() < 0.5 else 1, 0.02)
        reach = (
            np.median(np.abs(weights.astype(np.float64)).sum(axis=1).mean() * scales)
            * now.scale
            * 20
            + 1e-6
        )
        out = Kind(
            float(np.float32(reach if rng.random() < 0.7 else 2.0 ** np.rint(np.log2(reach)))),
            int(rng.integers(-128, 128)),
        )
        bias = rng.integers(-(2 ** int(rng.integers(1, 20))), 2**10, n_out).astype(np.int32)
        steps.append(
            Full(
                weights, bias if rng.random() < 0.9 else None, scales, number < len(sizes) - 2, out
            )
        )
        now = out
    if rng.random() < 0.3:
        steps.append(Step("reshape", now))
    if rng.random() < 0.5:
        now = Kind(1 / 256, -128)
        steps.append(Step("softmax", now))
    if float_ends:
        steps.append(Step("dequantize"))
    elif unsigned:
        steps.append(Step("quantize", Kind(now.scale, now.zero + 128, unsigned=True)))
    start = (
        Kind()
        if float_ends
        else Kind(given.scale, given.zero + 128, unsigned=True)
        if unsigned
        else given
    )
    return write(sizes[0], start, steps), sizes[0], sizes[-1]


def random_inputs(rng: Rng, count: int, width: int) -> NDArray[np.float32]:
    """(count, width): pixels, 8-bit levels, negative and huge values, multiples of half a quantum,
    empty and constant rows."""
    values = rng.random((count, width), dtype=np.float32)
    kinds = rng.integers(8, size=count)
    levels = rng.integers(0, 256, (count, width)).astype(np.float32) / np.float32(255)
    halves = rng.integers(-254, 255, (count, width)).astype(np.float32) / np.float32(254)
    noise = rng.standard_normal((count, width)).astype(np.float32)
    values[kinds == 1] = levels[kinds == 1]
    values[kinds == 2] = noise[kinds == 2]
    values[kinds == 3] = (noise * np.float32(1e6))[kinds == 3]
    values[kinds == 4] = (halves * rng.choice([1, 0.25, 3], (count, 1)).astype(np.float32))[
        kinds == 4
    ]
    values[kinds == 5] *= rng.random((count, width))[kinds == 5] < 0.1
    values[kinds == 6] = (noise * np.float32(1e-20))[kinds == 6]
    values[kinds == 7] = np.abs(halves[kinds == 7])
    values[::50] = 0
    values[1::50] = rng.random()
    return values


def golden_networks() -> dict[str, bytes]:
    """Four small files without float operators, 24-16-6: dynamic range and full int8, one scale a
    tensor and one a channel."""
    files = {}
    for name, int8, per_channel, asymmetric in (
        ("dynamic", False, False, False),
        ("dynamic-per-channel", False, True, True),
        ("int8", True, True, False),
        ("int8-per-tensor", True, False, False),
    ):
        rng = np.random.default_rng(11)
        given, steps = (
            (Kind(float(np.float32(1 / 255)), -128) if int8 else Kind()),
            list[Full | Step](),
        )
        for n_in, n_out, out in ((24, 16, Kind(0.0625, -128)), (16, 6, Kind(0.5, 3))):
            bias = rng.standard_normal(n_out) * 2
            scales = (0.01 * np.exp(rng.normal(0, 0.5, n_out if per_channel else 1))).astype(
                np.float32
            )
            stored = (bias * 1000).astype(np.int32) if int8 else bias.astype(np.float32)
            weights = rng.integers(-127, 128, (n_out, n_in)).astype(np.int8)
            steps.append(
                Full(weights, stored, scales, n_out == 16, out if int8 else Kind(), asymmetric)
            )
        if int8:
            steps.append(Step("softmax", Kind(1 / 256, -128)))
        files[name] = write(24, given, steps)
    return files
