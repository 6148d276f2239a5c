"""The checker's reader of `.onnx` graphs: a chain of dense layers and float32 arithmetic.

Any other graph has no rules. Source: docs/certificates.md, "Which files have rules".
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Final

import numpy as np

from relrob.certificates.checking.reading.entry import completed, image_dims, raster
from relrob.certificates.checking.reading.facts import Deployed, NoRulesError
from relrob.certificates.checking.reading.onnx_parts import (
    FLOAT,
    Array,
    Attributes,
    Node,
    node_of,
    tensor_of,
    value_of,
)
from relrob.certificates.checking.reading.steps import Steps
from relrob.certificates.checking.reading.wire import BYTES, VARINT, Message
from relrob.domain.network import Arithmetic, Network

_B, _V = BYTES, VARINT
_MODEL: Final = {1: _V, 2: _B, 3: _B, 4: _B, 5: _V, 6: _B, 7: _B, 8: _B, 14: _B}
_OPSET: Final = {1: _B, 2: _V}
_GRAPH: Final = {1: _B, 2: _B, 5: _B, 10: _B, 11: _B, 12: _B, 13: _B, 16: _B}
_OPSETS: Final = range(7, 27)
_MOST_NODES: Final = 10_000
_LARGEST: Final = float(np.finfo(np.float32).max)
_NUMBERS: Final = {
    "value_float": "<f4",
    "value_floats": "<f4",
    "value_int": "<i8",
    "value_ints": "<i8",
}


def read_onnx(network: Network, data: bytes) -> Deployed:
    """The layers of a file. Raises NoRulesError."""
    model = Message(data, _MODEL, "an ONNX model")
    opsets = [Message(each, _OPSET, "an opset") for each in model.every(8)]
    own = [opset.whole(2) for opset in opsets if opset.text(1) in ("", "ai.onnx")]
    if len(own) != 1 or own[0] not in _OPSETS or model.whole(1) < 3:
        raise NoRulesError("an ONNX model of an opset or version that the checker does not know")
    graph = model.data(7)
    if graph is None:
        raise NoRulesError("an ONNX model without a graph")
    return _Walk(network, Message(graph, _GRAPH, "an ONNX graph"), own[0]).read()


class _Walk:
    """Follows the value of an image through the nodes, in their order."""

    def __init__(self, network: Network, graph: Message, opset: int) -> None:
        self._network, self._opset = network, opset
        self._nodes = [node_of(each) for each in graph.every(1)]
        self._constants: dict[str, Array] = {}
        for each in graph.every(5):
            name, values = tensor_of(each)
            if not name or name in self._constants:
                raise NoRulesError("a constant without a name, or twice")
            self._constants[name] = values
        if graph.has(15) or len(self._nodes) > _MOST_NODES:
            raise NoRulesError("a graph that is too large, or with sparse constants")
        given = [
            value for value in map(value_of, graph.every(11)) if value[0] not in self._constants
        ]
        results = [value_of(each) for each in graph.every(12)]
        if len(given) != 1 or len(results) != 1:
            raise NoRulesError(f"{len(given)} inputs and {len(results)} outputs")
        self._at, kind, dims = given[0]
        self._output = results[0][0]
        if kind != FLOAT:
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
            if node.kind == "Identity" and node.inputs[:1] != [self._at]:
                self._copy(node)
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

    def _copy(self, node: Node) -> None:
        """An Identity of a constant."""
        if (
            len(node.inputs) != 1
            or len(node.outputs) != 1
            or node.attributes
            or node.inputs[0] not in self._constants
        ):
            raise NoRulesError("an Identity of no value")
        self._constants[node.outputs[0]] = self._constants[node.inputs[0]]

    def _constant_node(self, node: Node) -> Array:
        if len(node.attributes) != 1 or node.inputs or len(node.outputs) != 1:
            raise NoRulesError("a Constant that is no tensor")
        name, found = next(iter(node.attributes.items()))
        if name in _NUMBERS:
            found = np.array(found, _NUMBERS[name])
        elif name != "value" or not isinstance(found, np.ndarray):
            raise NoRulesError("a Constant that is no tensor")
        if not np.isfinite(found).all():
            raise NoRulesError("a Constant that is not finite")
        return np.asarray(found)

    def _constant(self, name: str, kind: str = "f") -> Array:
        if name not in self._constants or self._constants[name].dtype.kind != kind:
            raise NoRulesError("an operand that is no constant, or of another type")
        return self._constants[name]

    def _first(self, node: Node, count: int) -> None:
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

    def gemm(self, node: Node, given: Attributes) -> None:
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
            # Exact: 24 bits times 24; rounded once, and once more where it is added.
            else:
                self._steps.add(bias.astype(np.float64) * beta, roundings=2)

    def matmul(self, node: Node, given: Attributes) -> None:
        self._first(node, 2)
        _none(given, node.kind)
        self._steps.dense(self._constant(node.inputs[1]), None)

    def add(self, node: Node, given: Attributes) -> None:
        _none(given, node.kind)
        self._steps.add(self._beside(self._other(node)))

    def subtract(self, node: Node, given: Attributes) -> None:
        _none(given, node.kind)
        first = node.inputs[0] == self._at
        self._steps.add(self._beside(self._other(node)), negative=first, turned=not first)

    def multiply(self, node: Node, given: Attributes) -> None:
        _none(given, node.kind)
        self._steps.multiply(self._beside(self._other(node)))

    def divide(self, node: Node, given: Attributes) -> None:
        self._first(node, 2)
        _none(given, node.kind)
        self._steps.divide(self._beside(self._constant(node.inputs[1])))

    def _other(self, node: Node) -> Array:
        """The constant beside the value."""
        if len(node.inputs) != 2:
            raise NoRulesError(f"{node.kind} of {len(node.inputs)} inputs")
        return self._constant(node.inputs[1] if node.inputs[0] == self._at else node.inputs[0])

    def relu(self, node: Node, given: Attributes) -> None:
        self._first(node, 1)
        _none(given, node.kind)
        self._steps.relu()

    def identity(self, node: Node, given: Attributes) -> None:
        self._first(node, 1)
        _none(given, node.kind)

    def negate(self, node: Node, given: Attributes) -> None:
        self._first(node, 1)
        _none(given, node.kind)
        self._steps.multiply(np.array(-1.0))

    def clip(self, node: Node, given: Attributes) -> None:
        """A ReLU, where it is from 0 to no end."""
        if self._opset < 11:
            self._first(node, 1)
            ends = [_float(given, "min", -_LARGEST), _float(given, "max", _LARGEST)]
        else:
            self._first(node, len(node.inputs))
            ends = [-_LARGEST, _LARGEST]
            for at, name in enumerate(node.inputs[1:]):
                if name and at < 2 and self._constant(name).size == 1:
                    ends[at] = float(self._constants[name].reshape(-1)[0])
                elif name:
                    raise NoRulesError("a Clip to several numbers")
        _none(given, node.kind)
        if ends[0] != 0 or ends[1] < _LARGEST:
            raise NoRulesError("a Clip that is no ReLU")
        self._steps.relu()

    def cast(self, node: Node, given: Attributes) -> None:
        """A Cast from float32 to float32; its other attributes concern other types."""
        self._first(node, 1)
        if given.pop("to", None) != FLOAT or set(given) - {"saturate", "round_mode"}:
            raise NoRulesError("a Cast to another type")

    def dropout(self, node: Node, given: Attributes) -> None:
        """The identity where it does not train (and the ratio changes nothing)."""
        given.pop("ratio", None)
        given.pop("seed", None)
        _none(given, node.kind)
        if node.inputs[0] != self._at or len(node.inputs) > 3:
            raise NoRulesError("a Dropout of other inputs")
        if any(self._constant(name, "b").any() for name in node.inputs[2:] if name):
            raise NoRulesError("a Dropout that trains")
        if len(node.inputs) > 1 and node.inputs[1]:
            self._constant(node.inputs[1])

    def squeeze(self, node: Node, given: Attributes) -> None:
        self._steps.reshape(tuple(n for n, gone in self._places(node, given, 0) if not gone))

    def unsqueeze(self, node: Node, given: Attributes) -> None:
        self._steps.reshape(tuple(n for n, _ in self._places(node, given, 1)))

    def _places(self, node: Node, given: Attributes, more: int) -> list[tuple[int, bool]]:
        """(length, whether it is named) of each axis behind the batch; `more`: the named axes are
        new."""
        if self._opset < 13:
            self._first(node, 1)
            axes = given.pop("axes", None)
        else:
            self._first(node, 2)
            axes = [int(axis) for axis in self._constant(node.inputs[1], "i").reshape(-1)]
        _none(given, node.kind)
        shape = self._steps.shape
        rank = 1 + len(shape) + (len(axes) if more and isinstance(axes, list) else 0)
        if not isinstance(axes, list) or not all(-rank <= axis < rank for axis in axes):
            raise NoRulesError(f"{node.kind} of axes that are not there")
        named = [axis % rank for axis in axes]
        if 0 in named or len(set(named)) != len(named):
            raise NoRulesError(f"{node.kind} of the batch, or of an axis twice")
        rest = iter(shape)
        found = [(1 if more and at in named else next(rest), at in named) for at in range(1, rank)]
        if any(gone and size != 1 for size, gone in found):
            raise NoRulesError("a Squeeze of several values")
        return found

    def flatten(self, node: Node, given: Attributes) -> None:
        self._first(node, 1)
        axis = _int(given, "axis", 1)
        _none(given, node.kind)
        if axis not in (1, -len(self._steps.shape)):
            raise NoRulesError(f"a Flatten at axis {axis}")
        self._steps.reshape((prod(self._steps.shape),))

    def reshape(self, node: Node, given: Attributes) -> None:
        self._first(node, 2)
        if _int(given, "allowzero", 0):
            raise NoRulesError("a Reshape that keeps zeros")
        _none(given, node.kind)
        sizes = [int(size) for size in self._constant(node.inputs[1], "i").reshape(-1)]
        if len(sizes) < 2 or sizes[0] not in (-1, 0, 1) or sizes.count(-1) > 1:
            raise NoRulesError("a Reshape that does not keep the batch apart")
        shape, rest = self._steps.shape, sizes[1:]
        rest = [
            shape[at] if size == 0 and at < len(shape) else size for at, size in enumerate(rest)
        ]
        self._steps.reshape(completed(tuple(rest), shape))

    def transpose(self, node: Node, given: Attributes) -> None:
        self._first(node, 1)
        axes = given.pop("perm", None)
        _none(given, node.kind)
        if not isinstance(axes, list) or axes[:1] != [0]:
            raise NoRulesError("a Transpose that moves the batch")
        self._steps.transpose(tuple(axis - 1 for axis in axes[1:]))

    def softmax(self, node: Node, given: Attributes) -> None:
        self._first(node, 1)
        axis = _int(given, "axis", 1 if self._opset < 13 else -1)
        _none(given, node.kind)
        if axis not in (1, -1) or len(self._steps.shape) != 1:
            raise NoRulesError(f"a Softmax over axis {axis}")
        self._steps.softmax()

    def batch_norm(self, node: Node, given: Attributes) -> None:
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


_STEPS: Final[dict[str, Callable[[_Walk, Node, Attributes], None]]] = {
    "Gemm": _Walk.gemm,
    "MatMul": _Walk.matmul,
    "Add": _Walk.add,
    "Sub": _Walk.subtract,
    "Mul": _Walk.multiply,
    "Div": _Walk.divide,
    "Relu": _Walk.relu,
    "Identity": _Walk.identity,
    "Neg": _Walk.negate,
    "Clip": _Walk.clip,
    "Cast": _Walk.cast,
    "Dropout": _Walk.dropout,
    "Squeeze": _Walk.squeeze,
    "Unsqueeze": _Walk.unsqueeze,
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
