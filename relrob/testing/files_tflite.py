"""Drafts of tiny `.tflite` files, built tensor by tensor.

No converter is used, so that small int8 layers exist.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from relrob.domain.arrays import Doubles, Floats
from relrob.testing.drafts import Drawn, Weights

KIND, OP, ACT = schema.TensorType, schema.BuiltinOperator, schema.ActivationFunctionType
TYPES: Final[dict[int, Any]] = {
    KIND.FLOAT32: np.float32,
    KIND.FLOAT16: np.float16,
    KIND.INT8: np.int8,
    KIND.UINT8: np.uint8,
    KIND.INT32: np.int32,
    KIND.INT64: np.int64,
}
BASES: Final = (
    "float",
    "float16",
    "dynamic",
    "dynamic-channel",
    "int8-float",
    "int8-int8",
    "int8-uint8",
    "int8-tensor",
)
RUNTIMES: Final = ("xnnpack", "xnnpack", "builtin", "reference")


@dataclass
class TfliteDraft(Drawn):
    """A model of one subgraph. `dense`: its dense operators in order; `grid`: the step to which it
    rounds pixels."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[Any] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    dense: list[Any] = field(default_factory=list)
    suffix: str = ".tflite"
    packed: bytes = b""

    def tensor(self, shape: tuple[int, ...], kind: int, data: Any = None, **more: Any) -> int:
        """A new tensor; `data`: its constant values; `scale`, `zero`, `axis`, `open` (its
        batch)."""
        made: Any = schema.TensorT()
        made.shape, made.type, made.name = list(shape), kind, f"t{len(self.tensors)}"
        if more.get("open"):
            made.shapeSignature = [-1, *shape[1:]]
        if data is not None:
            buffer: Any = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, TYPES[kind]).tobytes(), np.uint8)
            self.buffers.append(buffer)
            made.buffer = len(self.buffers) - 1
        if "scale" in more:
            scale = np.atleast_1d(np.asarray(more["scale"], np.float32))
            made.quantization = quantisation(scale, more.get("zero", 0), more.get("axis", 0))
        self.tensors.append(made)
        return len(self.tensors) - 1

    def op(
        self,
        code: int,
        ins: list[int],
        outs: list[int],
        options: Any = None,
        version: int = 1,
        at: int = -1,
    ) -> Any:
        """A new operator at the end, or before place `at`; `options`: an options object, whose type
        is told from its class."""
        entry: Any = schema.OperatorCodeT()
        entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = (
            code,
            min(code, 127),
            version,
        )
        self.codes.append(entry)
        made: Any = schema.OperatorT()
        made.opcodeIndex, made.inputs, made.outputs = len(self.codes) - 1, list(ins), list(outs)
        if options is not None:
            made.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            made.builtinOptions = options
        self.operators.insert(len(self.operators) if at < 0 else at, made)
        return made

    def values(self, tensor: int) -> NDArray[Any]:
        """A readable constant's values."""
        held = self.tensors[tensor]
        raw = np.asarray(self.buffers[held.buffer].data, np.uint8).tobytes()
        return np.frombuffer(raw, TYPES[held.type]).reshape(held.shape).copy()

    def store(self, tensor: int, values: NDArray[Any]) -> None:
        """New values of a constant."""
        held = self.tensors[tensor]
        data = np.ascontiguousarray(values, TYPES[held.type]).tobytes()
        self.buffers[held.buffer].data = np.frombuffer(data, np.uint8)

    def constant(self, tensor: int) -> bool:
        """Does it hold data?"""
        return self.buffers[self.tensors[tensor].buffer].data is not None

    def readable(self, tensor: int) -> bool:
        """Does its buffer hold a value for each of its elements? Not where it is stored sparse, or
        another tensor changed it."""
        held = self.tensors[tensor]
        if not self.constant(tensor) or held.sparsity is not None or held.type not in TYPES:
            return False
        size = int(np.prod(held.shape)) * np.dtype(TYPES[held.type]).itemsize
        return bool(len(self.buffers[held.buffer].data) == size)

    def splice(
        self, tensor: int, made: int, code: int, options: Any = None, extra: tuple[int, ...] = ()
    ) -> Any:
        """Put an operator from `tensor` to `made`, which all that read `tensor` now read; `extra`:
        its further inputs."""
        readers = [op for op in self.operators if tensor in list(op.inputs)]
        for reader in readers:
            reader.inputs = [made if place == tensor else place for place in reader.inputs]
        self.outputs = [made if place == tensor else place for place in self.outputs]
        at = min((self.operators.index(op) for op in readers), default=-1)
        return self.op(code, [tensor, *extra], [made], options, at=at)

    def data(self) -> bytes:
        """The flat buffer; made once, and a bias that is lifted afterwards is changed in place."""
        if self.packed:
            return self.packed
        graph: Any = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs, graph.outputs, graph.name = self.inputs, self.outputs, "main"
        model: Any = schema.ModelT()
        model.version, model.description = 3, "edited"
        model.subgraphs, model.buffers, model.operatorCodes = [graph], self.buffers, self.codes
        builder = flatbuffers.Builder(4096)
        builder.Finish(model.Pack(builder), b"TFL3")
        self.packed = bytes(builder.Output())
        return self.packed

    def lift(self, neuron: int, amount: float, last: bool) -> bool:
        """On the stored bias, in its own scale."""
        places = [int(n) for n in self.dense[-1 if last else 0].inputs]
        if len(places) < 3 or places[2] < 0 or not self.readable(places[2]):
            return False
        bias, held = self.values(places[2]), self.tensors[places[2]]
        flat = bias.reshape(-1)
        if neuron >= len(flat):
            return False
        if bias.dtype == np.int32:
            scales = (
                [1.0]
                if held.quantization is None or held.quantization.scale is None
                else held.quantization.scale
            )
            scale = float(scales[min(neuron, len(scales) - 1)])
            moved = float(flat[neuron]) + (amount / scale if scale else 0.0)
            flat[neuron] = (
                int(np.clip(np.rint(moved), -(2**31), 2**31 - 1)) if np.isfinite(moved) else 0
            )
        else:
            flat[neuron] = flat[neuron] + amount
        old = bytes(self.buffers[held.buffer].data)
        self.store(places[2], bias)
        once = self.packed.count(old) == 1
        self.packed = (
            self.packed.replace(old, bytes(self.buffers[held.buffer].data)) if once else b""
        )
        return True


def quantisation(scale: NDArray[Any], zero: Any = 0, axis: int = 0) -> Any:
    """The parameters of a tensor."""
    made: Any = schema.QuantizationParametersT()
    made.scale = np.asarray(scale, np.float32)
    made.zeroPoint = np.broadcast_to(np.asarray(zero, np.int64), np.shape(made.scale)).copy()
    made.quantizedDimension = axis
    return made


def draft(
    rng: np.random.Generator,
    weights: Weights,
    shape: tuple[int, int, int],
    seen: Floats,
    grid: float,
) -> TfliteDraft:
    """A valid file of a random kind. `seen` (n, d): images that set the ranges of activations;
    `grid`: the input's scale."""
    made = TfliteDraft(base=str(rng.choice(BASES)), runtime=str(rng.choice(RUNTIMES)))
    softmax = bool(rng.random() < 0.15)
    made.base += ", softmax" if softmax else ""
    if made.base.startswith("int8"):
        _integers(made, weights, shape, seen, grid, softmax)
    else:
        _floats(made, weights, shape, softmax, bool(rng.random() < 0.5))
    return made


def _start(made: TfliteDraft, shape: tuple[int, int, int], kind: int, **more: Any) -> int:
    """An input of images, and their RESHAPE to rows."""
    inputs = int(np.prod(shape))
    given = made.tensor((1, *shape), kind, open=True, **more)
    made.inputs = [given]
    if "scale" in more and kind == KIND.UINT8:
        return given
    return reshaped(made, given, (1, inputs))


def reshaped(made: TfliteDraft, tensor: int, shape: tuple[int, ...]) -> int:
    """A RESHAPE whose batch is left open."""
    held = made.tensors[tensor]
    target = made.tensor(shape, held.type, open=True)
    made.tensors[target].quantization = held.quantization
    options: Any = schema.ReshapeOptionsT()
    options.newShape = [-1, *shape[1:]]
    into = made.tensor((len(shape),), KIND.INT32, [-1, *shape[1:]])
    made.op(OP.RESHAPE, [tensor, into], [target], options)
    return target


def _full(made: TfliteDraft, places: list[int], target: int, relu: bool, version: int) -> None:
    """A FULLY_CONNECTED."""
    options: Any = schema.FullyConnectedOptionsT()
    options.fusedActivationFunction = ACT.RELU if relu else ACT.NONE
    made.dense.append(made.op(OP.FULLY_CONNECTED, places, [target], options, version))


def _floats(
    made: TfliteDraft, weights: Weights, shape: tuple[int, int, int], softmax: bool, flat: bool
) -> None:
    """Float ends and kernels, or weights of 8 bits that a hybrid kernel takes."""
    at = (
        _start(made, shape, KIND.FLOAT32)
        if not flat
        else made.tensor((1, int(np.prod(shape))), KIND.FLOAT32, open=True)
    )
    made.inputs = made.inputs or [at]
    for number, (matrix, bias) in enumerate(weights.layers):
        values, n_out = matrix.T, matrix.shape[1]
        if made.base.startswith("float16"):
            place = _half(made, values)
        elif made.base.startswith("dynamic"):
            scale = _steps(values, "channel" in made.base)
            place = made.tensor(
                values.shape, KIND.INT8, np.rint(values / _column(scale)), scale=scale
            )
        else:
            place = made.tensor(values.shape, KIND.FLOAT32, values)
        added = (
            _half(made, bias)
            if made.base.startswith("float16")
            else made.tensor((n_out,), KIND.FLOAT32, bias)
        )
        target = made.tensor((1, n_out), KIND.FLOAT32, open=True)
        version = (12 if "channel" in made.base else 3) if made.base.startswith("dynamic") else 1
        _full(made, [at, place, added], target, number < len(weights.layers) - 1, version)
        at = target
    made.outputs = [_soft(made, at) if softmax else at]


def _half(made: TfliteDraft, values: Doubles) -> int:
    """float16 behind DEQUANTIZE."""
    stored = made.tensor(values.shape, KIND.FLOAT16, np.clip(values, -6e4, 6e4))
    wide = made.tensor(values.shape, KIND.FLOAT32)
    made.op(OP.DEQUANTIZE, [stored], [wide], version=3)
    return wide


def _soft(made: TfliteDraft, tensor: int) -> int:
    """A closing softmax; int8 has its fixed grid."""
    held = made.tensors[tensor]
    more = {"scale": 1 / 256, "zero": -128} if held.type == KIND.INT8 else {}
    target = made.tensor(tuple(held.shape), held.type, open=True, **more)
    options: Any = schema.SoftmaxOptionsT()
    options.beta = 1.0
    made.op(OP.SOFTMAX, [tensor], [target], options, 2 if more else 1)
    return target


def _steps(values: Doubles, channels: bool) -> NDArray[np.float32]:
    """Symmetric scales, one a row or one in all."""
    most = np.abs(values).max(axis=1) if channels else np.array([np.abs(values).max()])
    return np.maximum(most / 127, 1e-6).astype(np.float32)


def _column(scale: NDArray[np.float32]) -> NDArray[np.float32]:
    return scale[:, None]


def _integers(
    made: TfliteDraft,
    weights: Weights,
    shape: tuple[int, int, int],
    seen: Floats,
    grid: float,
    softmax: bool,
) -> None:
    """Full int8; float, int8 or uint8 ends."""
    ends = made.base.split(",", maxsplit=1)[0].partition("-")[2]
    scale, zero = np.float32(grid), -128
    if ends == "int8":
        at = _start(made, shape, KIND.INT8, scale=scale, zero=zero)
    else:
        first = (
            _start(made, shape, KIND.UINT8, scale=scale, zero=0)
            if ends == "uint8"
            else _start(made, shape, KIND.FLOAT32)
        )
        at = made.tensor(
            tuple(made.tensors[first].shape), KIND.INT8, open=True, scale=scale, zero=zero
        )
        made.op(OP.QUANTIZE, [first], [at], schema.QuantizeOptionsT())
        at = reshaped(made, at, (1, int(np.prod(shape)))) if ends == "uint8" else at
    for number, ((matrix, bias), values) in enumerate(
        zip(weights.layers, weights.stages(seen), strict=True)
    ):
        last = number == len(weights.layers) - 1
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 1e-3)
        step = np.float32((high - low) / 255)
        wide = _steps(matrix.T, ends != "tensor")
        joint = made.tensors[at].quantization.scale[0] * wide
        stored = np.clip(np.rint(bias / joint), -(2**31), 2**31 - 1)
        n_out = matrix.shape[1]
        place = made.tensor(
            (n_out, len(matrix)), KIND.INT8, np.rint(matrix.T / _column(wide)), scale=wide
        )
        added = made.tensor(
            (n_out,), KIND.INT32, stored.astype(np.int64).astype(np.int32), scale=joint
        )
        target = made.tensor(
            (1, n_out), KIND.INT8, open=True, scale=step, zero=int(np.rint(-128 - low / step))
        )
        _full(made, [at, place, added], target, not last, 5 if ends == "tensor" else 6)
        at = target
    at = _soft(made, at) if softmax else at
    made.outputs = [_end(made, at, ends)]


def _end(made: TfliteDraft, at: int, ends: str) -> int:
    """Back to floats, or to uint8."""
    held = made.tensors[at]
    if ends == "int8":
        return at
    if ends == "uint8":
        scale, zero = held.quantization.scale, int(held.quantization.zeroPoint[0]) + 128
        target = made.tensor(tuple(held.shape), KIND.UINT8, open=True, scale=scale, zero=zero)
        made.op(OP.QUANTIZE, [at], [target], schema.QuantizeOptionsT())
        return target
    target = made.tensor(tuple(held.shape), KIND.FLOAT32, open=True)
    made.op(OP.DEQUANTIZE, [at], [target], version=2)
    return target
