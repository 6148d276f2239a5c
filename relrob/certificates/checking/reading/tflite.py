"""The graph of a `.tflite` file: its tensors and operators.

A field that is not known to change nothing is refused.
Reference: tensorflow/compiler/mlir/lite/schema/schema.fbs.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading.facts import NoRulesError
from relrob.certificates.checking.reading.flat import Buffer, Table

FLOAT32, FLOAT16, INT32, UINT8, INT8 = 0, 1, 2, 3, 9
_NUMPY: Final = {FLOAT32: "<f4", FLOAT16: "<f2", INT32: "<i4", UINT8: "<u1", INT8: "<i1"}
ADD, DEQUANTIZE, FULLY_CONNECTED, MUL, RELU, RESHAPE, SOFTMAX = 0, 6, 9, 18, 19, 22, 25
SUB, DIV, STRIDED_SLICE, SHAPE, PACK, QUANTIZE = 41, 42, 45, 77, 83, 114
# Operator -> type of its options, number of their fields that are known, whether it may have none.
_OPTIONS: Final = {
    ADD: (11, 2, False),
    DEQUANTIZE: (38, 0, True),
    FULLY_CONNECTED: (8, 5, False),
    MUL: (21, 1, False),
    RELU: (0, 0, True),
    RESHAPE: (17, 1, True),
    SOFTMAX: (9, 1, False),
    SUB: (28, 2, False),
    DIV: (29, 1, False),
    STRIDED_SLICE: (32, 6, False),
    SHAPE: (55, 1, False),
    PACK: (59, 2, False),
    QUANTIZE: (89, 0, True),
}
_REDUCED: Final = "reduced_precision_support"
_HARMLESS: Final = (_REDUCED, "min_runtime_version", "CONVERSION_METADATA", "TFLITE_METADATA")
_SCALES: Final = (2.0**-60, 2.0**60)
_ENDS: Final = {INT8: (-128, 127), UINT8: (0, 255)}
# (type, scale, zero point) of values on one grid.
Integers = tuple[int, float, int]


@dataclass(frozen=True, eq=False)
class Grid:
    """The grid on which an integer q stands for (q - zero) * scale: one `scale` and `zero`, or
    several along `dimension`."""

    scales: NDArray[np.float32]
    zeros: NDArray[np.int64]
    dimension: int

    def one(self) -> tuple[float, int]:
        """(scale, zero point) of a tensor with one."""
        if len(self.scales) != 1 or self.dimension != 0:
            raise NoRulesError("values of a layer with a scale for each channel")
        return float(self.scales[0]), int(self.zeros[0])


@dataclass(frozen=True, eq=False)
class Tensor:
    """`values`: of a constant, else None; `dims`: with -1 where the file leaves them open."""

    kind: int
    dims: list[int]
    values: NDArray[np.generic] | None
    grid: Grid | None

    def integers(self) -> Integers:
        """(type, scale, zero point) of an integer tensor.

        Raises:
            NoRulesError: another type, no single scale, or a zero point out of range.
        """
        if self.kind not in _ENDS or self.grid is None:
            raise NoRulesError(f"values of type {self.kind}, or without a scale")
        scale, zero = self.grid.one()
        low, high = _ENDS[self.kind]
        if not low <= zero <= high:
            raise NoRulesError(f"a zero point of {zero}")
        return self.kind, scale, zero


@dataclass(frozen=True, eq=False)
class Operator:
    """`options`: None where there are none."""

    kind: int
    version: int
    inputs: list[int]
    output: int
    options: Table | None

    @property
    def given(self) -> Table:
        """The options, which must be there."""
        if self.options is None:
            raise NoRulesError(f"the operator {self.kind} without options")
        return self.options


@dataclass(frozen=True, eq=False)
class Graph:
    """The one subgraph of a file. `halves`: half precision is allowed where the processor has
    it."""

    tensors: list[Tensor]
    operators: list[Operator]
    input: int
    output: int
    halves: bool

    def constant(self, place: int, *kinds: int) -> NDArray[np.generic]:
        """The values of a constant of one of these types.

        Raises:
            NoRulesError: no constant, or one of another type.
        """
        tensor = self.tensors[place]
        if place < 0 or tensor.values is None or tensor.kind not in kinds:
            raise NoRulesError("an operand that is no constant, or one of another type")
        return tensor.values


def read_graph(data: bytes) -> Graph:
    """The graph of a file. Raises NoRulesError."""
    model = Buffer(data).root(b"TFL3").only(8, "a model")
    if model.whole(0, "I") != 3:
        raise NoRulesError(f"a .tflite file of version {model.whole(0, 'I')}")
    named = [entry.text(0) for entry in model.tables(6)]
    for name in named:
        if name not in _HARMLESS:
            raise NoRulesError(f"a .tflite file with the metadata {name[:40]!a}")
    graphs, buffers = model.tables(2), model.tables(4)
    if len(graphs) != 1:
        raise NoRulesError(f"{len(graphs)} subgraphs")
    graph = graphs[0].only(5, "a subgraph")
    held = [buffer.only(1, "a buffer").vector(0, "<u1") for buffer in buffers]
    tensors = [_tensor(table, held) for table in graph.tables(0)]
    codes = [_code(code) for code in model.tables(1)]
    operators = [_operator(table, codes, len(tensors)) for table in graph.tables(3)]
    ends = [_places(graph, slot, len(tensors)) for slot in (1, 2)]
    if [len(end) for end in ends] != [1, 1] or min(ends[0] + ends[1]) < 0:
        raise NoRulesError("a .tflite file that has not one input and one output")
    return Graph(tensors, operators, ends[0][0], ends[1][0], _REDUCED in named)


def _code(code: Table) -> tuple[int, int]:
    """(operator, version)."""
    code.only(4, "an operator's code")
    if code.has(1):
        raise NoRulesError("a custom operator")
    return max(code.whole(0, "b"), code.whole(3, "i")), code.whole(2, "i", 1)


def _places(table: Table, slot: int, count: int) -> list[int]:
    """Numbers of tensors, -1 for one that is left out."""
    held = table.vector(slot, "<i4")
    found = [] if held is None else [int(place) for place in held.astype(np.int64)]
    if not all(-1 <= place < count for place in found):
        raise NoRulesError("an operator that names tensors which are not there")
    return found


def _operator(table: Table, codes: list[tuple[int, int]], count: int) -> Operator:
    table.only(14, "an operator")
    number = table.whole(0, "I")
    if number >= len(codes):
        raise NoRulesError("an operator without a code")
    kind, version = codes[number]
    if kind not in _OPTIONS:
        raise NoRulesError(f"the operator {kind}")
    lists = [table.vector(slot, "<u1") for slot in (5, 7, 8)]
    if any(held is not None and len(held) for held in lists) or any(
        table.has(slot) for slot in (9, 10, 11, 12)
    ):
        raise NoRulesError(
            f"the operator {kind} with custom options, variables or intermediate tensors"
        )
    expected, fields, optional = _OPTIONS[kind]
    given = table.whole(3, "B")
    options = table.table(4)
    if given != (0 if options is None else expected) or (options is None and not optional):
        raise NoRulesError(f"the operator {kind} with options of another one, or without")
    if options is not None:
        options.only(fields, f"the options of operator {kind}")
    inputs, outputs = _places(table, 1, count), _places(table, 2, count)
    if len(outputs) != 1 or min(outputs) < 0 or not inputs or inputs[0] < 0:
        raise NoRulesError(
            f"the operator {kind} with {len(inputs)} inputs and {len(outputs)} outputs"
        )
    return Operator(kind, version, inputs, outputs[0], options)


def _tensor(table: Table, buffers: list[NDArray[np.generic] | None]) -> Tensor:
    table.only(9, "a tensor")
    kind = table.whole(1, "b")
    if table.whole(5, "?") or table.has(6):
        raise NoRulesError("a tensor that is a variable, or stored sparse")
    shape, open_shape = table.vector(0, "<i4"), table.vector(7, "<i4")
    dims = [] if shape is None else [int(size) for size in shape.astype(np.int64)]
    number = table.whole(2, "I")
    if number >= len(buffers):
        raise NoRulesError("a tensor without a buffer")
    data, values = buffers[number], None
    if data is not None and len(data):
        if (
            kind not in _NUMPY
            or min(dims, default=1) < 1
            or len(data) != prod(dims) * np.dtype(_NUMPY[kind]).itemsize
        ):
            raise NoRulesError("a constant of another type or size than its shape")
        values = np.frombuffer(data.tobytes(), _NUMPY[kind]).reshape(dims)
    elif open_shape is not None:
        signature = [int(size) for size in open_shape.astype(np.int64)]
        if len(signature) != len(dims) or not all(
            a in (b, -1) for a, b in zip(signature, dims, strict=True)
        ):
            raise NoRulesError("a tensor with two shapes")
        dims = signature
    quantisation = table.table(4)
    return Tensor(kind, dims, values, None if quantisation is None else _grid(quantisation))


def _grid(table: Table) -> Grid | None:
    table.only(7, "a quantisation")
    if table.whole(4, "B") or table.has(5):
        raise NoRulesError("a quantisation with details")
    scales, zeros = table.vector(2, "<f4"), table.vector(3, "<i8")
    if scales is None or not len(scales):
        return None
    found, at = (
        scales.astype(np.float32),
        np.zeros(0, np.int64) if zeros is None else zeros.astype(np.int64),
    )
    if len(at) != len(found) or not np.all((found >= _SCALES[0]) & (found <= _SCALES[1])):
        raise NoRulesError(
            "scales that are not above 0, or beyond all use, or that have not one zero point each"
        )
    return Grid(found, at, table.whole(6, "i"))
