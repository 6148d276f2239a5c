"""The flat buffer of a `.tflite` file as frozen values, with every field that can change its
outputs, before any interpretation."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from relrob.domain.arrays import Floats, Ints, read_only

OPERATORS: Final[Mapping[int, str]] = {
    v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)
}
TYPES: Final[Mapping[int, str]] = {
    v: k for k, v in vars(schema.TensorType).items() if isinstance(v, int)
}
_STORED: Final[Mapping[str, type[np.generic]]] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
}
# Types of constants that no modelled kernel reads.
_UNMODELLED: Final[Mapping[str, type[np.generic]]] = {"INT16": np.int16}
DAMAGED: Final = (
    struct.error,
    ValueError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
)
_HALVED: Final = b"reduced_precision_support"
Options = Mapping[str, object]


class NotModelledError(Exception):
    """The reason why a file is only run, short enough for a user."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of the file.

    `type`: its name in the schema. `signature`: the shape with -1 where open, None where the file
    has none. `data`: the bytes of a constant. `scales`, `zeros`: of its quantisation, None where
    absent. `odd`: the reason why it is unusual, or "".
    """

    number: int
    type: str
    shape: tuple[int, ...]
    signature: tuple[int, ...] | None
    data: bytes | None
    scales: Floats | None
    zeros: Ints | None
    dimension: int
    odd: str

    @property
    def constant(self) -> bool:
        """Does the file hold its values?"""
        return self.data is not None

    def values(self, *, every: bool = False) -> NDArray[Any]:
        """The values of a constant in its own shape; `every`: of types, too, that no modelled
        kernel reads. Raises NotModelledError."""
        kind = (_UNMODELLED if every and self.type in _UNMODELLED else _STORED).get(self.type)
        if self.data is None or kind is None:
            raise NotModelledError(f"tensor {self.number} is not a constant of a known type")
        if len(self.data) != np.dtype(kind).itemsize * int(np.prod(self.shape, dtype=object)):
            raise NotModelledError(
                f"tensor {self.number} holds {len(self.data)} bytes for shape {self.shape}"
            )
        return np.frombuffer(self.data, kind).reshape(self.shape)


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator of the file.

    `kind`: its name in the schema. `inputs`: tensors, -1 for none. `form`, `options`: name and
    fields of the table of its builtin options, "" and none where there is no table. `odd`: as in
    `Tensor`.
    """

    number: int
    kind: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    form: str
    options: Options
    odd: str

    @property
    def name(self) -> str:
        """The operator as a reason names it."""
        return f"operator {self.number} {self.kind}"


@dataclass(frozen=True, eq=False)
class Flat:
    """The one subgraph of a file.

    `odd`: the reason why the file as a whole is unusual, or "". `halved`: the file allows its
    floats to be computed in half precision.
    """

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    odd: str
    halved: bool = False

    def at(self, place: int) -> Tensor:
        """The tensor that an operator names. Raises NotModelledError where it names none."""
        if place < 0:
            raise NotModelledError("an operator lacks an input")
        return self.tensors[place]


def read_flat(data: bytes) -> Flat:
    """The first subgraph of a file that `flatbuffer.verify` lets through. Every index is in range.
    Raises NotModelledError, also where the flat buffer is damaged."""
    try:
        return _read(schema.ModelT.InitFromPackedBuf(data, 0))
    except DAMAGED as error:
        raise NotModelledError("the flat buffer is damaged") from error


def _read(model: Any) -> Flat:
    graph = model.subgraphs[0]
    buffers = list(model.buffers or ())
    tensors = tuple(
        _tensor(number, tensor, buffers) for number, tensor in enumerate(graph.tensors or ())
    )
    codes = list(model.operatorCodes or ())
    operators = tuple(
        _operator(number, operator, codes) for number, operator in enumerate(graph.operators or ())
    )
    halved = any(entry.name == _HALVED for entry in model.metadata or ())
    flat = Flat(
        tensors, operators, _ints(graph.inputs), _ints(graph.outputs), _odd_model(model), halved
    )
    named = [
        *flat.inputs,
        *flat.outputs,
        *(i for o in operators for i in (*o.inputs, *o.outputs) if i != -1),
    ]
    if not all(0 <= index < len(tensors) for index in named):
        raise NotModelledError("a tensor is named that the file does not have")
    return flat


def _odd_model(model: Any) -> str:
    """The reason why the file is unusual, or ""."""
    known = {b"min_runtime_version", b"CONVERSION_METADATA", b"TFLITE_METADATA", _HALVED}
    other = [entry.name or b"" for entry in model.metadata or () if entry.name not in known]
    if model.version != 3:
        return f"the file has schema version {model.version}"
    if len(model.subgraphs) != 1:
        return f"the file has {len(model.subgraphs)} subgraphs"
    if model.externalBuffers or model.externalBufferGroups:
        return "the file keeps weights in other files"
    if other:
        return f"the file has metadata {other[0].decode(errors='replace')[:40]!r}"
    return ""


def _tensor(number: int, tensor: Any, buffers: list[Any]) -> Tensor:
    quantisation = tensor.quantization
    buffer = buffers[tensor.buffer] if 0 <= tensor.buffer < len(buffers) else None
    if buffer is None:
        raise NotModelledError(f"tensor {number} names a buffer that the file does not have")
    held = buffer.data is not None and len(buffer.data) > 0
    return Tensor(
        number,
        TYPES.get(tensor.type, f"type {tensor.type}"),
        _ints(tensor.shape),
        None if tensor.shapeSignature is None else _ints(tensor.shapeSignature),
        np.asarray(buffer.data, np.uint8).tobytes() if held else None,
        None if quantisation is None else _array(quantisation.scale, np.float32),
        None if quantisation is None else _array(quantisation.zeroPoint, np.int64),
        0 if quantisation is None else int(quantisation.quantizedDimension),
        _odd_tensor(tensor, buffer, held),
    )


def _odd_tensor(tensor: Any, buffer: Any, held: bool) -> str:
    """The reason why a tensor is unusual, or ""."""
    quantisation = tensor.quantization
    if tensor.sparsity is not None:
        return "is stored sparse"
    if tensor.isVariable:
        return "is a variable"
    if tensor.variantTensors:
        return "is a variant"
    if tensor.externalBuffer or buffer.offset or buffer.size or (held and tensor.buffer == 0):
        return "is stored in an unusual place"
    if quantisation is not None and (quantisation.detailsType or quantisation.details is not None):
        return "has a custom quantisation"
    return ""


def _operator(number: int, operator: Any, codes: list[Any]) -> Operator:
    if not 0 <= operator.opcodeIndex < len(codes):
        raise NotModelledError(f"operator {number} has no operator code")
    code, options = codes[operator.opcodeIndex], operator.builtinOptions
    kind = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
    fields = (
        {} if options is None else {name: _plain(value) for name, value in vars(options).items()}
    )
    return Operator(
        number,
        OPERATORS.get(kind, f"code {kind}"),
        int(code.version),
        _ints(operator.inputs),
        _ints(operator.outputs),
        "" if options is None else type(options).__name__.removesuffix("T"),
        MappingProxyType(fields),
        _odd_operator(operator, code),
    )


def _odd_operator(operator: Any, code: Any) -> str:
    """The reason why an operator is unusual, or ""."""
    if code.customCode or (operator.customOptions is not None and len(operator.customOptions)):
        return "has custom options"
    if (
        operator.largeCustomOptionsOffset
        or operator.largeCustomOptionsSize
        or operator.customOptionsFormat
    ):
        return "has custom options"
    if operator.mutatingVariableInputs is not None and np.any(
        np.asarray(operator.mutatingVariableInputs)
    ):
        return "changes its inputs"
    if operator.intermediates is not None and len(operator.intermediates):
        return "has intermediate tensors"
    if operator.builtinOptions2Type or operator.builtinOptions2 is not None:
        return "has a second table of options"
    if operator.builtinOptionsType and operator.builtinOptions is None:
        return "has options of an unknown kind"
    return ""


def _plain(value: object) -> object:
    """An option as a plain value."""
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | list | tuple):
        return tuple(_plain(item) for item in value)
    return repr(type(value))


def _ints(values: Any) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)


def _array(values: Any, kind: type[np.generic]) -> NDArray[Any] | None:
    return None if values is None or not len(values) else read_only(np.array(values, dtype=kind))
