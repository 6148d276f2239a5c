"""`.onnx` files: a chain of dense layers and elementwise arithmetic in float32, read from the protocol buffer, or no rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from relrob.certificates.reading.entry import image_dims, raster
from relrob.certificates.reading.facts import Deployed, NoRulesError
from relrob.certificates.reading.steps import Steps
from relrob.certificates.reading.wire import BYTES, FIXED32, VARINT, Message
from relrob.domain.network import Arithmetic, Network

_B, _V = BYTES, VARINT
_MODEL: Final = {1: _V, 2: _B, 3: _B, 4: _B, 5: _V, 6: _B, 7: _B, 8: _B, 14: _B}
_OPSET: Final = {1: _B, 2: _V}
_GRAPH: Final = {1: _B, 2: _B, 5: _B, 10: _B, 11: _B, 12: _B, 13: _B, 16: _B}
_NODE: Final = {1: _B, 2: _B, 3: _B, 4: _B, 5: _B, 6: _B, 7: _B, 9: _B}
_ATTRIBUTE: Final = {1: _B, 2: FIXED32, 3: _V, 4: _B, 5: _B, 7: FIXED32, 8: _V, 13: _B, 20: _V}
_TENSOR: Final = {1: _V, 2: _V, 4: FIXED32, 5: _V, 7: _V, 8: _B, 9: _B, 12: _B, 14: _V, 16: _B}
_VALUE: Final = {1: _B, 2: _B, 3: _B, 4: _B}
_TYPE: Final = {1: _B, 6: _B}
_TENSOR_TYPE: Final = {1: _V, 2: _B}
_SHAPE: Final = {1: _B}
_DIM: Final = {1: _V, 2: _B, 3: _B}
_FLOAT, _INT64 = 1, 7
_OPSETS: Final = range(7, 27)
_MOST_NODES: Final = 10_000

Attributes = dict[str, Any]
Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class _Node:
    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: Attributes


def read_onnx(network: Network, data: bytes) -> Deployed:
    """The layers of a file. Raises NoRulesError."""
    model = Message(data, _MODEL, "an ONNX model")
    opsets = [Message(each, _OPSET, "an opset") for each in model.every(8)]
    named = {opset.text(1): opset.whole(2) for opset in opsets}
    if len(named) != len(opsets) or named.get("", named.get("ai.onnx", 0)) not in _OPSETS or model.whole(1) < 3:
        raise NoRulesError("an ONNX model of an opset or version that the checker does not know")
    graph = model.data(7)
    if graph is None:
        raise NoRulesError("an ONNX model without a graph")
    version = named.get("", named.get("ai.onnx", 0))
    return _Walk(network, Message(graph, _GRAPH, "an ONNX graph"), version).read()


class _Walk:
    """Follows the value of an image through the nodes, in their order."""

    def __init__(self, network: Network, graph: Message, opset: int) -> None:
        self._network, self._opset = network, opset
        self._nodes = [_node(each) for each in graph.every(1)]
        self._constants: dict[str, Array] = {}
        for each in graph.every(5):
            name, values = _tensor(each)
            if not name or name in self._constants:
                raise NoRulesError("a constant without a name, or twice")
            self._constants[name] = values
        if graph.has(15) or len(self._nodes) > _MOST_NODES:
            raise NoRulesError("a graph that is too large, or with sparse constants")
        given = [value for value in map(_value, graph.every(11)) if value[0] not in self._constants]
        results = [_value(each) for each in graph.every(12)]
        if len(given) != 1 or len(results) != 1:
            raise NoRulesError(f"{len(given)} inputs and {len(results)} outputs")
        self._at, kind, dims = given[0]
        self._output = results[0][0]
        if kind != _FLOAT:
            raise NoRulesError("an input that is not float32")
        self._names = {self._at, *self._constants}
        self._steps = Steps(image_dims(dims, network), network.arithmetic is Arithmetic.REAL)

    def read(self) -> Deployed:
        for node in self._nodes:
            for name in node.outputs:
                if not name or name in self._names:
                    raise NoRulesError("a value that is made twice")
                self._names.add(name)
            if node.kind == "Constant":
                self._constants[node.outputs[0]] = self._constant_node(node)
                continue
            if node.inputs.count(self._at) != 1:
                raise NoRulesError("a graph that is no chain of nodes")
            step = _STEPS.get(node.kind)
            if step is None or len(node.outputs) != 1:
                raise NoRulesError(f"the operator {node.kind[:40]!a}")
            step(self, node, dict(node.attributes))
            self._at = node.outputs[0]
        if self._at != self._output:
            raise NoRulesError("an output that is not what the last node gives")
        return self._steps.finish(raster(self._network))

    def _constant_node(self, node: _Node) -> Array:
        if set(node.attributes) != {"value"} or node.inputs or len(node.outputs) != 1:
            raise NoRulesError("a Constant that is no tensor")
        found = node.attributes["value"]
        if not isinstance(found, np.ndarray):
            raise NoRulesError("a Constant that is no tensor")
        return found

    def _constant(self, name: str, kind: str = "f") -> Array:
        if name not in self._constants or self._constants[name].dtype.kind != kind:
            raise NoRulesError("an operand that is no constant, or of another type")
        return self._constants[name]

    def _first(self, node: _Node, count: int) -> None:
        """The value is the first of so many inputs."""
        if node.inputs[0] != self._at or len(node.inputs) != count:
            raise NoRulesError(f"{node.kind} with other inputs than the value and constants")

    def _beside(self, numbers: Array) -> Array:
        """Constants of an elementwise step, without the axis of the batch."""
        if numbers.ndim <= len(self._steps.shape):
            return numbers
        if numbers.ndim > len(self._steps.shape) + 1 or numbers.shape[0] != 1:
            raise NoRulesError("constants of more dimensions than the values")
        return np.asarray(numbers[0])

    def gemm(self, node: _Node, given: Attributes) -> None:
        self._first(node, 2 if len(node.inputs) == 2 else 3)
        alpha, beta = _float(given, "alpha", 1.0), _float(given, "beta", 1.0)
        turned, other = _int(given, "transB", 0), _int(given, "transA", 0)
        _none(given, node.kind)
        if other or turned not in (0, 1):
            raise NoRulesError("a Gemm of a transposed value")
        weights = self._constant(node.inputs[1])
        self._steps.dense(weights.T if turned else weights, None)
        if alpha != 1.0:
            self._steps.multiply(np.array(alpha))
        if len(node.inputs) == 3 and node.inputs[2]:
            bias = self._beside(self._constant(node.inputs[2]))
            if beta == 1.0:
                self._steps.add(bias)
            else:  # exact: 24 bits times 24; rounded once, and once more where it is added
                self._steps.add(bias.astype(np.float64) * beta, roundings=2)

    def matmul(self, node: _Node, given: Attributes) -> None:
        self._first(node, 2)
        _none(given, node.kind)
        self._steps.dense(self._constant(node.inputs[1]), None)

    def add(self, node: _Node, given: Attributes) -> None:
        _none(given, node.kind)
        self._steps.add(self._beside(self._other(node)))

    def subtract(self, node: _Node, given: Attributes) -> None:
        _none(given, node.kind)
        first = node.inputs[0] == self._at
        self._steps.add(self._beside(self._other(node)), negative=first, turned=not first)

    def multiply(self, node: _Node, given: Attributes) -> None:
        _none(given, node.kind)
        self._steps.multiply(self._beside(self._other(node)))

    def divide(self, node: _Node, given: Attributes) -> None:
        self._first(node, 2)
        _none(given, node.kind)
        self._steps.divide(self._beside(self._constant(node.inputs[1])))

    def _other(self, node: _Node) -> Array:
        """The constant beside the value."""
        if len(node.inputs) != 2:
            raise NoRulesError(f"{node.kind} of {len(node.inputs)} inputs")
        return self._constant(node.inputs[1] if node.inputs[0] == self._at else node.inputs[0])

    def relu(self, node: _Node, given: Attributes) -> None:
        self._first(node, 1)
        _none(given, node.kind)
        self._steps.relu()

    def identity(self, node: _Node, given: Attributes) -> None:
        self._first(node, 1)
        _none(given, node.kind)

    def dropout(self, node: _Node, given: Attributes) -> None:
        """The identity where it does not train: with one input there is no training_mode, and the ratio changes nothing."""
        given.pop("ratio", None)
        given.pop("seed", None)
        _none(given, node.kind)
        training = [name for name in node.inputs[2:] if name]
        if node.inputs[0] != self._at or len(node.inputs) > 3 or training:
            raise NoRulesError("a Dropout that may train")
        if len(node.inputs) > 1 and node.inputs[1]:
            self._constant(node.inputs[1])

    def flatten(self, node: _Node, given: Attributes) -> None:
        self._first(node, 1)
        axis = _int(given, "axis", 1)
        _none(given, node.kind)
        if axis not in (1, -len(self._steps.shape)):
            raise NoRulesError(f"a Flatten at axis {axis}")
        self._steps.reshape((prod(self._steps.shape),))

    def reshape(self, node: _Node, given: Attributes) -> None:
        self._first(node, 2)
        if _int(given, "allowzero", 0):
            raise NoRulesError("a Reshape that keeps zeros")
        _none(given, node.kind)
        sizes = [int(size) for size in self._constant(node.inputs[1], "i").reshape(-1)]
        if len(sizes) < 2 or sizes[0] not in (-1, 0, 1) or sizes.count(-1) > 1:
            raise NoRulesError("a Reshape that does not keep the batch apart")
        shape, rest = self._steps.shape, sizes[1:]
        rest = [shape[at] if size == 0 and at < len(shape) else size for at, size in enumerate(rest)]
        if -1 in rest:
            known = prod(size for size in rest if size != -1)
            rest = [(prod(shape) // known if known > 0 else 0) if size == -1 else size for size in rest]
        self._steps.reshape(tuple(rest))

    def transpose(self, node: _Node, given: Attributes) -> None:
        self._first(node, 1)
        axes = given.pop("perm", None)
        _none(given, node.kind)
        if not isinstance(axes, list) or axes[:1] != [0]:
            raise NoRulesError("a Transpose that moves the batch")
        self._steps.transpose(tuple(axis - 1 for axis in axes[1:]))

    def softmax(self, node: _Node, given: Attributes) -> None:
        self._first(node, 1)
        axis = _int(given, "axis", 1 if self._opset < 13 else -1)
        _none(given, node.kind)
        if axis not in (1, -1) or len(self._steps.shape) != 1:
            raise NoRulesError(f"a Softmax over axis {axis}")
        self._steps.softmax()

    def batch_norm(self, node: _Node, given: Attributes) -> None:
        self._first(node, 5)
        epsilon = _float(given, "epsilon", 1e-5)
        given.pop("momentum", None)
        if _int(given, "training_mode", 0) or _int(given, "spatial", 1) != 1:
            raise NoRulesError("a BatchNormalization that trains, or that is not over channels")
        _none(given, node.kind)
        held = [self._constant(name).astype(np.float64) for name in node.inputs[1:]]
        if any(values.shape != self._steps.shape[:1] for values in held):
            raise NoRulesError("a BatchNormalization of other channels")
        self._steps.batch_norm(held[0], held[1], held[2], held[3], epsilon, axis=0)


_STEPS: Final[dict[str, Callable[[_Walk, _Node, Attributes], None]]] = {
    "Gemm": _Walk.gemm,
    "MatMul": _Walk.matmul,
    "Add": _Walk.add,
    "Sub": _Walk.subtract,
    "Mul": _Walk.multiply,
    "Div": _Walk.divide,
    "Relu": _Walk.relu,
    "Identity": _Walk.identity,
    "Dropout": _Walk.dropout,
    "Flatten": _Walk.flatten,
    "Reshape": _Walk.reshape,
    "Transpose": _Walk.transpose,
    "Softmax": _Walk.softmax,
    "BatchNormalization": _Walk.batch_norm,
}


def _int(given: Attributes, name: str, default: int) -> int:
    found = given.pop(name, default)
    if type(found) is not int:
        raise NoRulesError(f"the attribute {name} of another type")
    return found


def _float(given: Attributes, name: str, default: float) -> float:
    found = given.pop(name, default)
    if type(found) is not float:
        raise NoRulesError(f"the attribute {name} of another type")
    return found


def _none(given: Attributes, kind: str) -> None:
    """No attribute is left."""
    if given:
        raise NoRulesError(f"{kind} with the attribute {next(iter(given))[:40]!a}")


def _node(data: bytes) -> _Node:
    node = Message(data, _NODE, "a node")
    if node.text(7) not in ("", "ai.onnx"):
        raise NoRulesError(f"an operator of the domain {node.text(7)[:40]!a}")
    held = [_attribute(each) for each in node.every(5)]
    attributes = dict(held)
    inputs, outputs = ([name.decode(errors="replace") for name in node.every(field)] for field in (1, 2))
    if len(attributes) != len(held) or not outputs:
        raise NoRulesError("a node with an attribute twice, or without an output")
    return _Node(node.text(4), inputs, outputs, attributes)


def _attribute(data: bytes) -> tuple[str, Any]:
    """(name, value) of a float, a whole number, a tensor or whole numbers; else None."""
    held = Message(data, _ATTRIBUTE, "an attribute")
    fields = {1: (2, held.real), 2: (3, held.whole), 4: (5, held.data), 7: (8, held.wholes)}
    kind = held.whole(20)
    if kind not in fields:
        raise NoRulesError(f"an attribute of type {kind}")
    field, value = fields[kind]
    if any(held.has(other) for other in (2, 3, 4, 5, 7, 8) if other != field):
        raise NoRulesError("an attribute of two types")
    found: Any = value(field)
    if kind == 4:
        found = _tensor(found or b"")[1]
    return held.text(1), found


def _tensor(data: bytes) -> tuple[str, Array]:
    """(name, values) of a float32 or int64 tensor that is held in the file."""
    held = Message(data, _TENSOR, "a tensor")
    kind, dims = held.whole(2), held.wholes(1)
    if held.whole(14):
        raise NoRulesError("a tensor whose data lies in another file")
    if kind not in (_FLOAT, _INT64) or min(dims, default=1) < 1:
        raise NoRulesError(f"a tensor of type {kind}, or that is empty")
    raw, given = held.data(9), held.reals(4) if kind == _FLOAT else held.wholes(7)
    if held.has(5) or held.has(7 if kind == _FLOAT else 4) or (raw is not None and len(given)):
        raise NoRulesError("a tensor that holds its data twice")
    size = 4 if kind == _FLOAT else 8
    values = (
        np.array(given, "<i8")
        if isinstance(given, list)
        else np.frombuffer(given, "<f4")
        if not len(given) % 4
        else None
    )
    if raw is not None:
        values = np.frombuffer(raw, "<f4" if kind == _FLOAT else "<i8") if len(raw) % size == 0 else None
    if values is None or values.size != prod(dims):
        raise NoRulesError("a tensor whose data does not fit its shape")
    if not np.isfinite(values).all():
        raise NoRulesError("a tensor that is not finite")
    return held.text(8), values.reshape(dims)


def _value(data: bytes) -> tuple[str, int, list[int]]:
    """(name, type, dimensions; -1 where open)."""
    value = Message(data, _VALUE, "a value")
    kind = Message(value.data(2) or b"", _TYPE, "a type")
    tensor = Message(kind.data(1) or b"", _TENSOR_TYPE, "a type of tensors")
    held = tensor.data(2)
    dims = (
        []
        if held is None
        else [Message(each, _DIM, "a dimension") for each in Message(held, _SHAPE, "a shape").every(1)]
    )
    return value.text(1), tensor.whole(1), [dim.whole(1) if dim.has(1) else -1 for dim in dims]
