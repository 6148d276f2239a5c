"""The parts of a `.onnx` file: nodes, attributes, constants, inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.checking.reading.facts import NoRulesError
from relrob.certificates.checking.reading.wire import BYTES, FIXED32, VARINT, Message

_B, _V = BYTES, VARINT
_NODE: Final = {1: _B, 2: _B, 3: _B, 4: _B, 5: _B, 6: _B, 7: _B, 9: _B}
_ATTRIBUTE: Final = {1: _B, 2: FIXED32, 3: _V, 4: _B, 5: _B, 7: FIXED32, 8: _V, 13: _B, 20: _V}
_TENSOR: Final = {1: _V, 2: _V, 4: FIXED32, 5: _V, 7: _V, 8: _B, 9: _B, 12: _B, 14: _V, 16: _B}
_VALUE: Final = {1: _B, 2: _B, 3: _B, 4: _B}
_TYPE: Final = {1: _B, 6: _B}
_TENSOR_TYPE: Final = {1: _V, 2: _B}
_SHAPE: Final = {1: _B}
_DIM: Final = {1: _V, 2: _B, 3: _B}
FLOAT, _INT64, _BOOL = 1, 7, 9
# Type -> the field that may hold its numbers, and what they are.
_TYPES: Final = {FLOAT: (4, "<f4"), _INT64: (7, "<i8"), _BOOL: (5, "?")}

Attributes = dict[str, Any]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Node:
    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: Attributes


def node_of(data: bytes) -> Node:
    node = Message(data, _NODE, "a node")
    if node.text(7) not in ("", "ai.onnx"):
        raise NoRulesError(f"an operator of the domain {node.text(7)[:40]!a}")
    held = [_attribute(each) for each in node.every(5)]
    attributes = dict(held)
    inputs, outputs = (
        [name.decode(errors="replace") for name in node.every(field)] for field in (1, 2)
    )
    if len(attributes) != len(held) or not outputs:
        raise NoRulesError("a node with an attribute twice, or without an output")
    return Node(node.text(4), inputs, outputs, attributes)


def _attribute(data: bytes) -> tuple[str, Any]:
    """(name, value) of a number, a tensor or several numbers."""
    held = Message(data, _ATTRIBUTE, "an attribute")
    fields = {
        1: (2, held.real),
        2: (3, held.whole),
        4: (5, held.data),
        6: (7, held.reals),
        7: (8, held.wholes),
    }
    kind = held.whole(20)
    if kind not in fields:
        raise NoRulesError(f"an attribute of type {kind}")
    field, value = fields[kind]
    if any(held.has(other) for other in (2, 3, 4, 5, 7, 8) if other != field):
        raise NoRulesError("an attribute of two types")
    found: Any = value(field)
    if kind == 4:
        found = tensor_of(found or b"")[1]
    if kind == 6:
        if len(found) % 4:
            raise NoRulesError("an attribute that is damaged")
        found = np.frombuffer(found, "<f4")
    return held.text(1), found


def tensor_of(data: bytes) -> tuple[str, Array]:
    """(name, values) of a tensor of float32, int64 or bool that is held in the file."""
    held = Message(data, _TENSOR, "a tensor")
    kind, dims = held.whole(2), held.wholes(1)
    if held.whole(14):
        raise NoRulesError("a tensor whose data lies in another file")
    if kind not in _TYPES or min(dims, default=1) < 1:
        raise NoRulesError(f"a tensor of type {kind}, or that is empty")
    field, form = _TYPES[kind]
    raw, given = held.data(9), held.reals(4) if kind == FLOAT else held.wholes(field)
    if any(held.has(other) for other in (4, 5, 7) if other != field) or (
        raw is not None and len(given)
    ):
        raise NoRulesError("a tensor that holds its data twice")
    values: Array | None = np.array(given, form) if isinstance(given, list) else None
    source = raw if raw is not None else given
    if not isinstance(source, list):
        values = np.frombuffer(source, form) if len(source) % np.dtype(form).itemsize == 0 else None
    if values is None or values.size != prod(dims):
        raise NoRulesError("a tensor whose data does not fit its shape")
    if not np.isfinite(values).all():
        raise NoRulesError("a tensor that is not finite")
    return held.text(8), values.reshape(dims)


def value_of(data: bytes) -> tuple[str, int, list[int]]:
    """(name, type, dimensions; -1 where open)."""
    value = Message(data, _VALUE, "a value")
    kind = Message(value.data(2) or b"", _TYPE, "a type")
    tensor = Message(kind.data(1) or b"", _TENSOR_TYPE, "a type of tensors")
    held = tensor.data(2)
    dims = (
        []
        if held is None
        else [
            Message(each, _DIM, "a dimension") for each in Message(held, _SHAPE, "a shape").every(1)
        ]
    )
    return value.text(1), tensor.whole(1), [dim.whole(1) if dim.has(1) else -1 for dim in dims]
