"""The graph of an ONNX file, node by node, onto a `Chain`: the weights of an MLP."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.domain.network import Dense
from relrob.errors import NetworkError
from relrob.networks.chain import Chain, NotDenseError

Array = NDArray[Any]
_CONSTANTS = {"Add", "Sub", "Mul", "Div"}


def build(model: onnx.ModelProto, dims: tuple[int, ...], quantised: bool = False) -> tuple[Dense, bool]:
    """The MLP for one image of shape `dims`, and whether constants were folded into its weights.

    Raises NotDenseError when it is no float32 MLP; NetworkError or ShapeError, with the node's name and position, when it is a
    broken one.
    """
    if quantised:
        raise NotDenseError("quantised operators")
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    given = next(value for value in graph.input if value.name not in constants)
    if given.type.tensor_type.elem_type != TensorProto.FLOAT or len(given.type.tensor_type.shape.dim) != len(dims) + 1:
        raise NotDenseError("an input that is not a batch of float32 images")
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    walker = _Walker(Chain(dims), given.name, constants, opset)
    for position, node in enumerate(graph.node, start=1):
        label = f"node {position} {(node.name or (node.output[0] if node.output else ''))!r} ({node.op_type})"
        try:
            walker.visit(node)
        except NetworkError as error:
            raise type(error)(f"{label}: {error}") from error
        except NotDenseError as error:
            raise NotDenseError(f"{label}: {error}") from error
    if walker.current != graph.output[0].name:
        raise NotDenseError("a graph with branches")
    return walker.chain.finish(), walker.chain.folded


class _Walker:
    """Follows the one value that depends on the input; any second use of an earlier value ends the walk."""

    def __init__(self, chain: Chain, current: str, constants: dict[str, Array], opset: int) -> None:
        self.chain = chain
        self.current = current
        self._constants = constants
        self._opset = opset

    def visit(self, node: onnx.NodeProto) -> None:
        """One node in the file's (topological) order."""
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.domain not in ("", "ai.onnx"):
            raise NotDenseError(f"domain {node.domain}")
        if node.op_type == "Constant":
            if "value" not in attributes:
                values = [
                    v for k, v in attributes.items() if k in ("value_float", "value_floats", "value_int", "value_ints")
                ]
                self._constants[node.output[0]] = np.asarray(values[0] if values else [])
            else:
                self._constants[node.output[0]] = numpy_helper.to_array(attributes["value"])
            return
        if list(node.input).count(self.current) != 1 or not all(
            name in self._constants for name in node.input if name and name != self.current
        ):
            raise NotDenseError("it does not read the value before it and constants alone")
        self._apply(node, attributes)
        self.current = node.output[0]

    def _apply(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """The operator itself."""
        kind, chain = node.op_type, self.chain
        if kind in _CONSTANTS:
            self._elementwise(kind, node)
            return
        if not node.input or node.input[0] != self.current:
            raise NotDenseError("a constant where the value belongs")
        match kind:
            case "Gemm":
                self._gemm(node, at)
            case "MatMul":
                weights = self._constant(node, 1)
                if weights.ndim != 2:
                    raise NotDenseError(f"weights of shape {weights.shape}")
                chain.dense(weights, np.zeros(weights.shape[1], np.float32))
            case "Relu":
                chain.relu()
            case "Softmax":
                if at.get("axis", -1 if self._opset >= 13 else 1) not in (-1, 1):
                    raise NotDenseError("a softmax over another axis")
                chain.softmax()
            case "Flatten":
                if at.get("axis", 1) not in (1, -len(chain.shape)):
                    raise NotDenseError("it mixes the images of a batch")
                chain.reshape((-1,))
            case "Reshape":
                self._reshape([int(n) for n in self._constant(node, 1).reshape(-1)], bool(at.get("allowzero", 0)))
            case "Transpose":
                order = [int(n) for n in at.get("perm", range(len(chain.shape), -1, -1))]
                if order[:1] != [0]:
                    raise NotDenseError("it moves the batch dimension")
                chain.transpose(tuple(n - 1 for n in order[1:]))
            case "Squeeze" | "Unsqueeze":
                self._squeeze(kind, node, at)
            case "Cast":
                if at.get("to") != TensorProto.FLOAT:
                    raise NotDenseError("a cast away from float32")
            case "BatchNormalization":
                self._batch_normalise(node, at)
            case "Identity" | "Dropout":
                return
            case _:
                raise NotDenseError(kind)

    def _constant(self, node: onnx.NodeProto, index: int) -> Array:
        """A constant input; float weights are float32."""
        array = self._constants[node.input[index]]
        if array.dtype.kind == "f" and array.dtype != np.float32:
            raise NotDenseError(f"weights of type {array.dtype}")
        return array

    def _gemm(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """alpha x B + beta C; float32 weights stay what they are when alpha and beta are 1."""
        if at.get("transA", 0):
            raise NotDenseError("a transposed input")
        weights = self._constant(node, 1)
        weights = weights.T if at.get("transB", 0) else weights
        bias = self._constant(node, 2) if len(node.input) > 2 and node.input[2] else np.zeros(1, np.float32)
        alpha, beta = float(at.get("alpha", 1.0)), float(at.get("beta", 1.0))
        if bias.ndim > 1 and bias.shape[0] != 1:
            raise NotDenseError("a bias that differs between the images of a batch")
        if weights.ndim != 2 or bias.size not in (1, weights.shape[1]):
            raise NetworkError(f"weights {weights.shape} and bias {bias.shape}", "(n_in, n_out), (n_out,)")
        if (alpha, beta) != (1.0, 1.0):
            self.chain.folded = True
            weights, bias = alpha * weights.astype(np.float64), beta * bias.astype(np.float64)
        self.chain.dense(weights, np.broadcast_to(bias.reshape(-1), weights.shape[1:]))

    def _elementwise(self, kind: str, node: onnx.NodeProto) -> None:
        """value (op) constant, or constant (op) value."""
        first = node.input[0] == self.current
        array = self._constant(node, 1 if first else 0)
        full = len(self.chain.shape) + 1
        if array.ndim > full or (array.ndim == full and array.shape[0] != 1):
            raise NotDenseError("a constant that differs between the images of a batch")
        value = array.astype(np.float64)
        value = value[0] if array.ndim == full else value
        match kind, first:
            case "Add", _:
                self.chain.affine(1.0, value)
            case "Sub", True:
                self.chain.affine(1.0, -value)
            case "Sub", False:
                self.chain.affine(-1.0, value)
            case "Mul", _:
                self.chain.affine(value)
            case "Div", True:
                with np.errstate(divide="ignore"):
                    self.chain.affine(1 / value)
            case _:
                raise NotDenseError("a division by the value")

    def _reshape(self, target: list[int], allow_zero: bool) -> None:
        """A shape that leaves the batch dimension alone."""
        shape, size = self.chain.shape, int(np.prod(self.chain.shape))
        if len(target) < 2:
            raise NotDenseError("it drops the batch dimension")
        rest = [shape[i] if n == 0 and not allow_zero and i < len(shape) else n for i, n in enumerate(target[1:])]
        if target[0] == -1 and (min(rest) < 1 or int(np.prod(rest)) != size):
            raise NotDenseError("it mixes the images of a batch")
        if target[0] not in (-1, 0, 1):
            raise NotDenseError(f"a batch of {target[0]}")
        self.chain.reshape(tuple(rest))

    def _squeeze(self, kind: str, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """Dimensions of length one, away or in; never the batch."""
        shape = (0, *self.chain.shape)  # 0 marks the batch
        axes = at.get("axes")
        if axes is None and len(node.input) > 1 and node.input[1]:
            axes = self._constant(node, 1).reshape(-1)
        if axes is None:
            raise NotDenseError("it may drop the batch dimension")
        rank = len(shape) + (len(axes) if kind == "Unsqueeze" else 0)
        places = {int(n) % rank for n in axes}
        if 0 in places:
            raise NotDenseError("it moves the batch dimension")
        if kind == "Squeeze":
            self.chain.reshape(tuple(n for i, n in enumerate(shape) if i and i not in places))
        else:
            rest = iter(shape[1:])
            self.chain.reshape(tuple(1 if i in places else next(rest) for i in range(1, rank)))

    def _batch_normalise(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """Inference: scale (x - mean) / sqrt(variance + epsilon) + B over the channels, the first axis after the batch."""
        if at.get("training_mode", 0) or len(node.output) != 1:
            raise NotDenseError("training mode")
        gamma, beta, mean, variance = (self._constant(node, i).astype(np.float64) for i in range(1, 5))
        factor = gamma / np.sqrt(variance + float(at.get("epsilon", 1e-5)))
        tail = (1,) * (len(self.chain.shape) - 1)
        self.chain.affine(factor.reshape(-1, *tail), (beta - mean * factor).reshape(-1, *tail))
