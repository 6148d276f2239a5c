"""The weights of an ONNX file as an MLP, or a model of it, collected operator by operator."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from relrob.domain.network import Dense
from relrob.errors import NetworkError
from relrob.networks.batches import one_line
from relrob.networks.feed import Entry
from relrob.networks.onnx.graph import Graph, Operator, graph_of
from relrob.networks.operators import NotDenseError, OperatorChain

Array = NDArray[Any]
_CONSTANTS = {"Add", "Sub", "Mul", "Div"}
_FLOAT_MAX: Final = float(np.finfo(np.float32).max)

# Roundings of float32, generous: one step and a constant that a runtime forms itself; alpha and
# beta; gamma / sqrt(variance + eps).
_STEP: Final = 4
_GEMM: Final = 4
_BATCH_NORM: Final = 16
# The root of such a variance is far from the end of float32's range.
_LEAST_VARIANCE: Final = 2.0**-40


def build(
    model: onnx.ModelProto, dims: tuple[int, ...], quantised: bool = False, entry: Entry = ()
) -> tuple[Dense, bool]:
    """The MLP for one image of shape `dims`, and whether the file does more than plain dense
    layers.

    Raises NotDenseError when it is no float32 MLP; NetworkError or ShapeError, with the node's name
    and position, when it is a broken one.
    """
    if quantised:
        raise NotDenseError("quantised operators: run by onnxruntime's own kernels")
    try:
        graph = graph_of(model)
    except (ValueError, TypeError, AttributeError, LookupError) as error:
        raise NotDenseError(
            f"attributes that do not fit their operators ({one_line(error)})"
        ) from error
    if graph.rank != len(dims) + 1:
        raise NotDenseError("an input that is not a batch of float32 images")
    walker = _Walker(OperatorChain(dims, entry), graph)
    for operator in graph.operators:
        try:
            walker.visit(operator)
        except NetworkError as error:
            raise type(error)(f"{operator.label}: {error}") from error
        except NotDenseError as error:
            raise NotDenseError(f"{operator.label}: {error}") from error
        except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
            raise NotDenseError(
                f"{operator.label}: attributes or constants of another form"
            ) from error
    if walker.current != graph.result:
        raise NotDenseError("a graph with branches")
    return walker.chain.finish(), walker.chain.folded


class _Walker:
    """The one value that depends on the input, followed operator by operator. A second use of an
    earlier value ends the walk."""

    def __init__(self, chain: OperatorChain, graph: Graph) -> None:
        self.chain = chain
        self.current = graph.given
        self._constants = dict(graph.constants)
        self._opset = graph.opset

    def visit(self, at: Operator) -> None:
        """One operator in the file's (topological) order."""
        if at.kind == "Identity" and at.inputs[0] in self._constants:
            self._constants[at.output] = self._constants[at.inputs[0]]
            return
        if at.inputs.count(self.current) != 1 or not all(
            name in self._constants for name in at.inputs if name and name != self.current
        ):
            raise NotDenseError("it does not read the value before it and constants alone")
        self._apply(at)
        self.current = at.output

    def _apply(self, at: Operator) -> None:
        """The operator itself."""
        if at.kind in _CONSTANTS:
            self._elementwise(at)
            return
        if at.inputs[0] != self.current:
            raise NotDenseError("a constant where the value belongs")
        match at.kind:
            case "Gemm":
                self._gemm(at)
            case "MatMul":
                weights = self._float(at, 1)
                if weights.ndim != 2:
                    raise NotDenseError(f"weights of shape {weights.shape}")
                self.chain.dense(weights, np.zeros(weights.shape[1], np.float32))
            case "Relu":
                self.chain.relu()
            case "Neg":
                self.chain.affine(-1.0, roundings=1)
            case "Clip":
                self._clip(at)
            case "Softmax":
                if at.settings.get("axis", -1 if self._opset >= 13 else 1) not in (-1, 1):
                    raise NotDenseError("a softmax over another axis")
                self.chain.softmax()
            case "Sigmoid":
                self.chain.sigmoid()
            case "BatchNormalization":
                self._batch_normalise(at)
            case "Cast":
                if at.settings.get("to") != TensorProto.FLOAT:
                    raise NotDenseError("a cast away from float32")
            case "Dropout":
                if any(self._constants[name].any() for name in at.inputs[2:] if name):
                    raise NotDenseError("training mode")
            case "Identity":
                return
            case _:
                self._view(at)

    def _view(self, at: Operator) -> None:
        """A change of shape or order."""
        match at.kind:
            case "Flatten":
                if at.settings.get("axis", 1) not in (1, -len(self.chain.shape)):
                    raise NotDenseError("it mixes the images of a batch")
                self.chain.reshape((-1,))
            case "Reshape":
                self._reshape(self._whole(at, 1), bool(at.settings.get("allowzero", 0)))
            case "Transpose":
                order = [
                    int(n) for n in at.settings.get("perm", range(len(self.chain.shape), -1, -1))
                ]
                if order[:1] != [0]:
                    raise NotDenseError("it moves the batch dimension")
                self.chain.transpose(tuple(n - 1 for n in order[1:]))
            case "Squeeze" | "Unsqueeze":
                self._squeeze(at)
            case _:
                raise NotDenseError(at.kind)

    def _float(self, at: Operator, index: int) -> Array:
        """A constant of float32 values."""
        array = self._constants[at.inputs[index]]
        if array.dtype != np.float32:
            raise NotDenseError(f"weights of type {array.dtype}")
        return array

    def _whole(self, at: Operator, index: int) -> list[int]:
        """A constant of int64 values: a shape, or axes."""
        array = self._constants[at.inputs[index]]
        if array.dtype != np.int64 or array.ndim != 1:
            raise NotDenseError(f"a shape of type {array.dtype}")
        return [int(n) for n in array]

    def _gemm(self, at: Operator) -> None:
        """alpha x B + beta C. Float32 weights stay as they are when alpha and beta are 1."""
        if at.settings.get("transA", 0):
            raise NotDenseError("a transposed input")
        weights = self._float(at, 1)
        weights = weights.T if at.settings.get("transB", 0) else weights
        bias = (
            self._float(at, 2) if len(at.inputs) > 2 and at.inputs[2] else np.zeros(1, np.float32)
        )
        alpha, beta = float(at.settings.get("alpha", 1.0)), float(at.settings.get("beta", 1.0))
        if bias.ndim > 1 and bias.shape[0] != 1:
            raise NotDenseError("a bias that differs between the images of a batch")
        if weights.ndim != 2 or bias.ndim > 2 or bias.size not in (1, weights.shape[1]):
            raise NetworkError(
                f"weights {weights.shape} and bias {bias.shape}", "(n_in, n_out), (n_out,)"
            )
        bias = np.broadcast_to(bias.reshape(-1), weights.shape[1:])
        if (alpha, beta) == (1.0, 1.0):
            self.chain.dense(weights, bias)
            return
        self.chain.dense(weights, np.zeros(weights.shape[1], np.float32))
        added = beta * bias.astype(np.float64)
        self.chain.affine(alpha, added, size=np.abs(added), roundings=_GEMM)

    def _elementwise(self, at: Operator) -> None:
        """value (op) constant, or constant (op) value."""
        first = at.inputs[0] == self.current
        value = self._per_value(self._float(at, 1 if first else 0)).astype(np.float64)
        match at.kind, first:
            case "Add", _:
                self.chain.affine(1.0, value, roundings=_STEP)
            case "Sub", True:
                self.chain.affine(1.0, -value, roundings=_STEP)
            case "Sub", False:
                self.chain.affine(-1.0, value, roundings=_STEP)
            case "Mul", _:
                self.chain.affine(value, roundings=_STEP)
            case "Div", True:
                with np.errstate(divide="ignore", over="ignore"):
                    self.chain.affine(1 / value, roundings=_STEP)
            case _:
                raise NotDenseError("a division by the value")

    def _per_value(self, array: Array) -> Array:
        """A constant that is the same for every image of a batch, without the batch dimension."""
        full = len(self.chain.shape) + 1
        if array.ndim > full or (array.ndim == full and array.shape[0] != 1):
            raise NotDenseError("a constant that differs between the images of a batch")
        return array[0] if array.ndim == full else array

    def _clip(self, at: Operator) -> None:
        """A ReLU, which is a clip from 0 to no end."""
        ends = [at.settings.get(name) for name in ("min", "max")]
        if self._opset >= 11:
            names = (*at.inputs[1:], "", "")[:2]
            ends = [
                float(self._float(at, 1 + i).reshape(-1)[0]) if name else None
                for i, name in enumerate(names)
            ]
        if ends[0] != 0 or (ends[1] is not None and not ends[1] >= _FLOAT_MAX):
            raise NotDenseError(f"a clip to [{ends[0]}, {ends[1]}]")
        self.chain.relu()

    def _reshape(self, target: list[int], allow_zero: bool) -> None:
        """A shape that leaves the batch dimension alone."""
        shape, size = self.chain.shape, int(np.prod(self.chain.shape))
        if len(target) < 2:
            raise NotDenseError("it drops the batch dimension")
        if allow_zero and 0 in target:
            raise NotDenseError("a shape of no values")
        rest = [shape[i] if n == 0 and i < len(shape) else n for i, n in enumerate(target[1:])]
        if target[0] == -1 and (min(rest) < 1 or int(np.prod(rest)) != size):
            raise NotDenseError("it mixes the images of a batch")
        if target[0] not in (-1, 0, 1):
            raise NotDenseError(f"a batch of {target[0]}")
        self.chain.reshape(tuple(rest))

    def _squeeze(self, at: Operator) -> None:
        """A change that removes or adds dimensions of length one, and never the batch."""
        # The 0 marks the batch.
        shape = (0, *self.chain.shape)
        axes = at.settings.get("axes")
        if axes is None and len(at.inputs) > 1 and at.inputs[1]:
            axes = self._whole(at, 1)
        if axes is None:
            raise NotDenseError("it may drop the batch dimension")
        rank = len(shape) + (len(axes) if at.kind == "Unsqueeze" else 0)
        places = {int(n) % rank for n in axes}
        if 0 in places or not all(-rank <= n < rank for n in axes) or len(places) != len(axes):
            raise NotDenseError("it moves the batch dimension, or names one twice")
        if at.kind == "Squeeze":
            self.chain.reshape(tuple(n for i, n in enumerate(shape) if i and i not in places))
        else:
            rest = iter(shape[1:])
            self.chain.reshape(tuple(1 if i in places else next(rest) for i in range(1, rank)))

    def _batch_normalise(self, at: Operator) -> None:
        """Inference: scale (x - mean) / sqrt(variance + epsilon) + B over the channels, the first
        axis after the batch."""
        if at.settings.get("training_mode", 0):
            raise NotDenseError("training mode")
        if at.settings.get("spatial", 1) != 1 or not self.chain.shape:
            raise NotDenseError("a normalisation of each value")
        gamma, beta, mean, variance = (self._float(at, i).astype(np.float64) for i in range(1, 5))
        if {array.shape for array in (gamma, beta, mean, variance)} != {self.chain.shape[:1]}:
            raise NotDenseError("a normalisation whose constants are not one a channel")
        spread = variance + float(at.settings.get("epsilon", 1e-5))
        if not ((variance >= 0) & (spread >= _LEAST_VARIANCE)).all():
            raise NotDenseError("a normalisation by a variance below 0, or near it")
        factor = gamma / np.sqrt(spread)
        tail = (self.chain.shape[0], *(1,) * (len(self.chain.shape) - 1))
        centre = mean * factor
        self.chain.affine(
            factor.reshape(tail),
            (beta - centre).reshape(tail),
            size=(np.abs(beta) + np.abs(centre)).reshape(tail),
            roundings=_BATCH_NORM,
        )
