"""From the optimised graph of a dense ONNX network to the steps that its operators take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.domain.arrays import Floats, frozen
from relrob.networks.kernels import onnx_steps as steps
from relrob.networks.kernels.exact_dot import ExactDot
from relrob.networks.kernels.onnx_graph import run_node
from relrob.networks.kernels.onnx_steps import Codes, Step

Array = NDArray[Any]
_DOMAINS: Final = ("", "ai.onnx", "com.microsoft")
_RANGES: Final = {np.dtype(np.uint8): (0, 255), np.dtype(np.int8): (-128, 127)}
_LARGEST: Final = 1e37


class NotEmulatedError(Exception):
    """The sentence that says why this graph is not emulated. Never leaves this package."""


@dataclass(frozen=True)
class Plan:
    """The steps, and whether each of them is exact to the bit; if not, `steps.enclose` bounds the outputs."""

    steps: tuple[Step, ...]
    exact: bool


@dataclass(frozen=True)
class _Value:
    """What is known of the current value: shape of one image; codes if it is quantised; else the largest magnitude."""

    dims: tuple[int, ...]
    codes: Codes | None
    largest: float = 1.0


def plan(model: onnx.ModelProto, dims: tuple[int, ...]) -> Plan:
    """The steps for images of shape `dims` in [0, 1]. Raises NotEmulatedError."""
    planner = _Planner(model, dims)
    for node in model.graph.node:
        try:
            planner.visit(node)
        except NotEmulatedError as error:
            raise NotEmulatedError(f"{node.op_type} {node.name!r}: {error}") from error
        except (IndexError, KeyError, ValueError, AttributeError) as error:
            raise NotEmulatedError(f"{node.op_type} {node.name!r}: an unusual form ({error})") from error
    _need(planner.current == model.graph.output[0].name, "a graph with branches")
    _need(planner.value.codes is None and len(planner.value.dims) == 1, "outputs that are not a row of float32")
    return Plan(tuple(planner.steps), planner.exact)


def _need(true: bool, otherwise: str) -> None:
    """Raise NotEmulatedError unless it is so."""
    if not true:
        raise NotEmulatedError(otherwise)


class _Planner:
    """Follows the one value that depends on the image."""

    def __init__(self, model: onnx.ModelProto, dims: tuple[int, ...]) -> None:
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.current = next(value.name for value in model.graph.input if value.name not in self.constants)
        self.value = _Value(dims, None)
        self.steps: list[Step] = []
        self.exact = True

    def visit(self, node: onnx.NodeProto) -> None:
        """One node in topological order."""
        at = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        _need(node.domain in _DOMAINS, f"domain {node.domain}")
        if self.current not in node.input:
            self._fold(node, at)
            return
        others = [name for name in node.input if name and name != self.current]
        _need(list(node.input).count(self.current) == 1, "it reads the value twice")
        _need(all(name in self.constants for name in others), "it reads another value that depends on the image")
        _need(len([name for name in node.output if name]) == 1, "it has more than one output")
        operators: dict[str, Callable[[onnx.NodeProto, dict[str, Any]], None]] = {
            "QuantizeLinear": self._quantise,
            "DequantizeLinear": self._dequantise,
            "QGemm": self._q_gemm,
            "QLinearMatMul": self._q_matmul,
            "MatMulIntegerToFloat": self._to_float,
            "MatMulInteger": self._matmul_integer,
            "DynamicQuantizeMatMul": self._dynamic,
            "QLinearAdd": self._q_add,
            "QLinearSoftmax": self._q_softmax,
            "Gemm": self._gemm,
            "FusedGemm": self._gemm,
            "MatMul": self._gemm,
            "Cast": self._cast,
            **dict.fromkeys(("Relu", "Clip", "Add", "Sub", "Mul", "Div"), self._elementwise),
            **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity"), self._view),
        }
        _need(node.op_type in operators, "an operator that is not emulated")
        first = node.op_type in ("Add", "Sub", "Mul", "Div", "QLinearAdd")
        _need(first or node.input[0] == self.current, "a constant where the value belongs")
        operators[node.op_type](node, at)
        self.current = node.output[0]

    # Constants.

    def _fold(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """A DequantizeLinear of constants, as onnxruntime computes it at run time."""
        _need(node.op_type == "DequantizeLinear", "an operator on constants")
        given = {name: self.constants[name] for name in node.input if name}
        self.constants[node.output[0]] = run_node(node, node.input[0], given[node.input[0]], given)

    def _get(self, node: onnx.NodeProto, index: int) -> Array | None:
        """A constant input, None when it is left out."""
        name = node.input[index] if len(node.input) > index else ""
        return self.constants[name] if name else None

    def _scale(self, node: onnx.NodeProto, index: int) -> Floats:
        """A positive, finite float32 scale (k,)."""
        array = self._get(node, index)
        _need(array is not None and array.dtype == np.float32 and array.ndim <= 1, "a scale that is no float32 row")
        flat = np.asarray(array, dtype=np.float32).reshape(-1)
        _need(bool(np.isfinite(flat).all() and (flat > 0).all()), "a scale that is not positive and finite")
        return flat

    def _codes(self, node: onnx.NodeProto, scale: int, zero: int) -> Codes:
        """One scale and one 8-bit zero point; uint8 with zero point 0 when it is left out."""
        point = self._get(node, zero)
        point = np.zeros((), np.uint8) if point is None else point
        _need(point.size == 1 and point.dtype in _RANGES, "codes that are not 8 bits with one zero point")
        step = self._scale(node, scale)
        _need(step.size == 1, "activations with a scale a channel")
        return Codes(step[0], int(point.reshape(-1)[0]), *_RANGES[point.dtype])

    def _input_codes(self) -> Codes:
        """The codes of the current value."""
        if self.value.codes is None:
            raise NotEmulatedError("a value that is not quantised")
        return self.value.codes

    # Between real values and codes.

    def _quantise(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        _need(self.value.codes is None, "codes quantised again")
        self._plain(at)
        codes = self._codes(node, 1, 2)
        self._push(steps.Quantise(codes), codes)

    def _dequantise(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        self._plain(at)
        held, own = self._input_codes(), self._codes(node, 1, 2)
        _need(held.least == own.least, "codes of another type")
        shift = held.zero_point - own.zero_point
        reach = max(abs(held.low + shift), abs(held.high + shift)) * float(own.scale)
        self._push(steps.Dequantise(own.scale, shift), None, largest=reach)

    def _plain(self, at: dict[str, Any]) -> None:
        """Attributes of newer operator sets that change the arithmetic are refused."""
        changed = [name for name in ("output_dtype", "precision", "block_size") if at.get(name)]
        _need(not changed, f"the attribute {', '.join(changed)}")

    # Integer products.

    def _integer(
        self, node: onnx.NodeProto, own: Codes, b: int, b_zero: int, transposed: bool = False
    ) -> tuple[Array, int, Codes]:
        """Weights less their zero points (n_in, n_out); the shift; the codes that arrive, seen with the operator's zero point."""
        held = self._input_codes()
        _need(held.least == own.least, "codes of another type")
        shift = held.zero_point - own.zero_point
        weights = self._weights(node, b, b_zero, transposed)
        return weights, shift, Codes(own.scale, own.zero_point, own.least, own.most)

    def _weights(self, node: onnx.NodeProto, b: int, b_zero: int, transposed: bool = False) -> Array:
        """8-bit weights less their zero points, (n_in, n_out) int64."""
        weights, zero = self._get(node, b), self._get(node, b_zero)
        _need(weights is not None and weights.ndim == 2 and weights.dtype in _RANGES, "weights that are not 8 bits")
        array = np.asarray(weights).astype(np.int64)
        array = array.T if transposed else array
        points = np.zeros(1, np.int64) if zero is None else zero.astype(np.int64).reshape(-1)
        _need(points.size in (1, array.shape[1]), "zero points that are neither one nor one a column")
        _need(self.value.dims == array.shape[:1], f"weights {array.shape} for values {self.value.dims}")
        return array - points

    def _push_dense(
        self, weights: Array, bias: Array | None, source: Codes, shift: int, scales: Floats | None,
        multiplier: Floats | None, target: Codes | None, float_bias: Array | None = None,
    ) -> None:  # fmt: skip
        """Append an IntegerDense."""
        width = weights.shape[1]
        whole = np.zeros(width, np.int64) if bias is None else np.broadcast_to(bias.astype(np.int64).reshape(-1), width)
        dot = ExactDot(weights, whole, source.low, source.high)
        factor = None if multiplier is None else steps.constant(np.broadcast_to(multiplier, (width,)))
        _need(factor is None or bool(np.isfinite(factor).all()), "scales whose product is not finite")
        added = None if float_bias is None else steps.constant(np.broadcast_to(float_bias.reshape(-1), (width,)))
        columns = steps.constant(np.broadcast_to(np.ones(1) if scales is None else scales, (width,)))
        layer = steps.IntegerDense(dot, source, columns, factor, target, added, shift)
        _need(self.exact or not layer.wraps, "an accumulator that may overflow after a float32 layer")
        top = dot.limit * (1.0 if factor is None else float(factor.max())) + (
            0.0 if added is None else float(np.abs(added).max())
        )
        self._push(layer, target, (width,), top)

    def _q_gemm(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        _need(not at.get("transA", 0), "a transposed input")
        own = self._codes(node, 1, 2)
        weights, shift, source = self._integer(node, own, 3, 5, bool(at.get("transB", 0)))
        scales, bias = self._scale(node, 4), self._get(node, 6)
        _need(bias is None or bias.size in (1, weights.shape[1]), "a bias that is no row")
        multiplier = np.float32(at.get("alpha", 1.0)) * own.scale * scales
        target = None
        if self._get(node, 7) is not None:
            _need(self._get(node, 8) is not None, "an output scale without a zero point")
            target = self._codes(node, 7, 8)
            multiplier = multiplier / target.scale
        self._push_dense(weights, bias, source, shift, scales, multiplier, target)

    def _q_matmul(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        own, target, scales = self._codes(node, 1, 2), self._codes(node, 6, 7), self._scale(node, 4)
        weights, shift, source = self._integer(node, own, 3, 5)
        self._push_dense(weights, None, source, shift, scales, own.scale * scales / target.scale, target)

    def _to_float(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        scale, scales, point = self._scale(node, 2), self._scale(node, 3), self._get(node, 4)
        held = self._input_codes()
        _need(scale.size == 1 and (point is None or point.size == 1), "activations with a scale a channel")
        zero = 0 if point is None else int(point.reshape(-1)[0])
        own = Codes(scale[0], zero, held.least, held.most)
        weights, shift, source = self._integer(node, own, 1, 5)
        self._push_dense(weights, None, source, shift, scales, scale * scales, None, self._get(node, 6))

    def _matmul_integer(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        held, point = self._input_codes(), self._get(node, 2)
        _need(point is None or point.size == 1, "activations with a zero point a row")
        own = Codes(held.scale, 0 if point is None else int(point.reshape(-1)[0]), held.least, held.most)
        weights, shift, source = self._integer(node, own, 1, 3)
        self._push_dense(weights, None, source, shift, None, None, None)

    def _cast(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """int32 or float32 to float32; the step before it has done so."""
        _need(at.get("to") == TensorProto.FLOAT and self.value.codes is None, "a cast that is not to float32")

    def _dynamic(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        _need(self.value.codes is None and self.exact, "a range taken after a float32 layer")
        weights, scales, bias = self._weights(node, 1, 3), self._scale(node, 2), self._get(node, 4)
        dot = ExactDot(weights, np.zeros(weights.shape[1], np.int64), -255, 255)
        _need(dot.limit < 2**31, "an accumulator that may overflow")
        columns = steps.constant(np.broadcast_to(scales, (weights.shape[1],)))
        added = None if bias is None else steps.constant(np.broadcast_to(bias.reshape(-1), (weights.shape[1],)))
        top = 2 * self.value.largest * float((np.abs(weights).sum(axis=0) * columns).max())
        top += 0.0 if added is None else float(np.abs(added).max())
        self._push(steps.DynamicDense(dot, columns, added), None, (weights.shape[1],), top)

    # Integer elementwise operators.

    def _q_add(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """Its table is what onnxruntime computes for each of the 256 codes."""
        held = self._input_codes()
        other = self.constants[node.input[3] if node.input[0] == self.current else node.input[0]]
        width = self.value.dims[-1]
        _need(len(self.value.dims) == 1 and (other.ndim <= 1 or other.shape[0] == 1), "an addition of another shape")
        _need(other.size in (1, width) and other.ndim <= 2, "an addition of another shape")
        target = self._codes(node, 6, 7)
        kind = np.uint8 if held.least == 0 else np.int8
        codes = np.arange(held.least, held.most + 1).astype(kind)
        table = run_node(node, self.current, np.repeat(codes[:, None], width, axis=1), self.constants)
        centred = table.astype(np.int64) - target.zero_point
        _need(self.exact or bool((np.diff(centred, axis=0) >= 0).all()), "an addition that is not monotone")
        self._push(steps.Lookup(steps.constant(centred), held.zero_point - held.least), target)

    def _q_softmax(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        held, own, target = self._input_codes(), self._codes(node, 1, 2), self._codes(node, 3, 4)
        _need(self.exact, "a softmax after a float32 layer")
        _need(len(self.value.dims) == 1 and at.get("axis", -1) in (-1, 1), "a softmax over another axis")
        source = Codes(own.scale, held.zero_point, held.least, held.most)
        step = steps.IntegerSoftmax(source, target, self.value.dims[0])
        kind = np.uint8 if held.least == 0 else np.int8
        rows = np.random.default_rng(0).integers(held.least, held.most + 1, (64, step.size))
        rows[0], rows[1], rows[1, 0] = held.least, held.least, held.most  # a tie of all, and one class alone
        found = run_node(node, self.current, rows.astype(kind), self.constants).astype(np.int64) - target.zero_point
        same = np.array_equal(found, step.apply((rows - held.zero_point).astype(np.float32)))
        _need(same, "this version of onnxruntime computes it in another way")
        self._push(step, target)

    # float32 operators.

    def _gemm(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """Not exact: onnxruntime adds up in an order of its own."""
        _need(self.value.codes is None, "codes in a float32 layer")
        weights, bias = self._get(node, 1), self._get(node, 2) if node.op_type != "MatMul" else None
        plain = at.get("alpha", 1.0) == at.get("beta", 1.0) == 1.0 and not at.get("transA", 0)
        _need(plain and weights is not None and weights.dtype == np.float32 and weights.ndim == 2, "an unusual Gemm")
        matrix = np.asarray(weights).T if at.get("transB", 0) else np.asarray(weights)
        width = matrix.shape[1]
        _need(self.value.dims == matrix.shape[:1], f"weights {matrix.shape} for values {self.value.dims}")
        row = np.zeros(width) if bias is None else np.broadcast_to(bias.reshape(-1), (width,))
        top = self.value.largest * float(np.abs(matrix).astype(np.float64).sum(axis=0).max()) + float(np.abs(row).max())
        _need(bool(np.isfinite(top)), "weights that are not finite")
        self.exact = False
        activation = at.get("activation", b"")
        _need(activation in (b"", b"Relu"), f"the activation {activation!r}")
        self._push(steps.FloatDense(steps.constant(matrix), steps.constant(row)), None, (width,), top)
        if activation:
            self._push(steps.Elementwise("Max", steps.constant(np.zeros(1))))

    def _elementwise(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        _need(self.value.codes is None, f"{node.op_type} of codes")
        if node.op_type == "Relu":
            self._push(steps.Elementwise("Max", steps.constant(np.zeros(1))))
            return
        if node.op_type == "Clip":
            for index, kind in ((1, "Max"), (2, "Min")):
                end = self._get(node, index)
                if end is not None:
                    self._push(steps.Elementwise(kind, steps.constant(end.reshape(1))))
            return
        flipped = node.input[0] != self.current
        array = np.asarray(self._get(node, 0 if flipped else 1))
        full = len(self.value.dims) + 1
        _need(array.dtype == np.float32 and array.ndim <= full, "a constant of another type or shape")
        _need(array.ndim < full or array.shape[0] == 1, "a constant that differs between images")
        row = np.broadcast_to(array[0] if array.ndim == full else array, self.value.dims).reshape(-1)
        _need(bool(np.isfinite(row).all()), "a constant that is not finite")
        _need(node.op_type != "Div" or (not flipped and bool((row != 0).all())), "a division by zero or by the value")
        size = np.abs(row.astype(np.float64)).max()
        largest = self.value.largest
        match node.op_type:
            case "Mul":
                largest *= float(size)
            case "Div":
                largest /= float(np.abs(row.astype(np.float64)).min())
            case _:
                largest += float(size)
        self._push(steps.Elementwise(node.op_type, steps.constant(row), flipped), None, largest=largest)

    def _view(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """Another shape or order of the same values; the batch stays in front."""
        dims, size = self.value.dims, prod(self.value.dims)
        shape = (0, *dims)  # 0 marks the batch
        match node.op_type:
            case "Flatten":
                _need(at.get("axis", 1) in (1, -len(dims)), "it mixes the images of a batch")
                dims = (size,)
            case "Reshape":
                dims = self._reshaped([int(n) for n in np.asarray(self._get(node, 1)).reshape(-1)], dims, size)
            case "Squeeze" | "Unsqueeze":
                given = at["axes"] if "axes" in at else np.asarray(self._get(node, 1)).reshape(-1)
                new = node.op_type == "Unsqueeze"
                rank = len(shape) + (len(given) if new else 0)
                places = {int(n) % rank for n in given}
                _need(0 not in places, "it moves the batch")
                rest = iter(dims)
                dims = tuple(
                    (1 if i in places else next(rest)) if new else shape[i]
                    for i in range(1, rank)
                    if new or i not in places
                )
            case "Transpose":
                order = [int(n) for n in at.get("perm", range(len(dims), -1, -1))]
                _need(order[0] == 0, "it moves the batch")
                index = np.arange(size, dtype=np.int64).reshape(dims).transpose([n - 1 for n in order[1:]])
                dims = index.shape
                self.steps.append(steps.Permute(frozen(index.reshape(-1))))
        _need(prod(dims) == size, "it changes the number of values")
        self.value = _Value(dims, self.value.codes, self.value.largest)

    def _reshaped(self, target: list[int], dims: tuple[int, ...], size: int) -> tuple[int, ...]:
        """The shape of one image after a Reshape; only one dimension, the batch or another, may be open."""
        _need(len(target) > 1, "it drops the batch")
        rest = [dims[i] if n == 0 else n for i, n in enumerate(target[1:])] if 0 in target[1:] else target[1:]
        if target[0] == -1:
            _need(min(rest) > 0 and prod(rest) == size, "it mixes the images of a batch")
        if -1 in rest:
            rest[rest.index(-1)] = size // max(prod(n for n in rest if n > 0), 1)
        return tuple(rest)

    def _push(
        self, step: Step, codes: Codes | None = None, dims: tuple[int, ...] | None = None, largest: float | None = None
    ) -> None:
        """Append a step and say what is known of its output."""
        self.steps.append(step)
        top = self.value.largest if largest is None else largest
        _need(codes is not None or top < _LARGEST, "values that may overflow float32")
        self.value = _Value(dims or self.value.dims, codes, top)
