"""From the optimised graph of a dense ONNX network to the steps that its operators take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from relrob.domain.arrays import Floats
from relrob.networks.exact_dot import ExactDot
from relrob.networks.onnx import steps
from relrob.networks.onnx.kernel_graph import run_node
from relrob.networks.onnx.operands import (
    Array,
    NotEmulatedError,
    codes_of,
    get,
    need,
    plain,
    scale_of,
    viewed,
    weights_of,
)
from relrob.networks.onnx.steps import Codes, Step

_DOMAINS: Final = ("", "ai.onnx", "com.microsoft")
_LARGEST: Final = 1e37


@dataclass(frozen=True)
class KernelPlan:
    """The steps, and whether each of them is exact to the bit; if not, `steps.enclose` bounds the
    outputs."""

    steps: tuple[Step, ...]
    exact: bool


@dataclass(frozen=True)
class _Value:
    """What is known of the current value: shape of one image; codes if it is quantised; else the
    largest magnitude."""

    dims: tuple[int, ...]
    codes: Codes | None
    largest: float = 1.0


def plan(model: onnx.ModelProto, dims: tuple[int, ...]) -> KernelPlan:
    """The steps for images of shape `dims` in [0, 1]. Raises NotEmulatedError."""
    planner = _Planner(model, dims)
    for node in model.graph.node:
        try:
            planner.visit(node)
        except NotEmulatedError as error:
            raise NotEmulatedError(f"{node.op_type} {node.name!r}: {error}") from error
        except (IndexError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise NotEmulatedError(
                f"{node.op_type} {node.name!r}: an unusual form ({error})"
            ) from error
    need(planner.current == model.graph.output[0].name, "a graph with branches")
    need(
        planner.value.codes is None and len(planner.value.dims) == 1,
        "outputs that are not a row of float32",
    )
    return KernelPlan(tuple(planner.steps), planner.exact)


class _Planner:
    """Follows the one value that depends on the image."""

    def __init__(self, model: onnx.ModelProto, dims: tuple[int, ...]) -> None:
        self.constants = {
            tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer
        }
        self.current = next(
            value.name for value in model.graph.input if value.name not in self.constants
        )
        self.value = _Value(dims, None)
        self.steps: list[Step] = []
        self.exact = True

    def visit(self, node: onnx.NodeProto) -> None:
        """One node in topological order."""
        at = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        need(node.domain in _DOMAINS, f"domain {node.domain}")
        if self.current not in node.input:
            self._fold(node, at)
            return
        others = [name for name in node.input if name and name != self.current]
        need(list(node.input).count(self.current) == 1, "it reads the value twice")
        need(
            all(name in self.constants for name in others),
            "it reads another value that depends on the image",
        )
        need(len([name for name in node.output if name]) == 1, "it has more than one output")
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
            **dict.fromkeys(
                ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Identity"), self._view
            ),
        }
        need(node.op_type in operators, "an operator that is not emulated")
        first = node.op_type in ("Add", "Sub", "Mul", "Div", "QLinearAdd")
        need(first or node.input[0] == self.current, "a constant where the value belongs")
        operators[node.op_type](node, at)
        self.current = node.output[0]

    # Constants.

    def _fold(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """A DequantizeLinear of constants, as onnxruntime computes it at run time."""
        need(node.op_type == "DequantizeLinear", "an operator on constants")
        given = {name: self.constants[name] for name in node.input if name}
        self.constants[node.output[0]] = run_node(node, node.input[0], given[node.input[0]], given)

    def _input_codes(self) -> Codes:
        """The codes of the current value."""
        if self.value.codes is None:
            raise NotEmulatedError("a value that is not quantised")
        return self.value.codes

    # Between real values and codes.

    def _quantise(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        need(self.value.codes is None, "codes quantised again")
        plain(at)
        codes = codes_of(self.constants, node, 1, 2)
        self._push(steps.Quantise(codes), codes)

    def _dequantise(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        plain(at)
        held, own = self._input_codes(), codes_of(self.constants, node, 1, 2)
        need(held.least == own.least, "codes of another type")
        shift = held.zero_point - own.zero_point
        reach = max(abs(held.low + shift), abs(held.high + shift)) * float(own.scale)
        self._push(steps.Dequantise(own.scale, shift), None, largest=reach)

    # Integer products.

    def _integer(
        self, node: onnx.NodeProto, own: Codes, b: int, b_zero: int, transposed: bool = False
    ) -> tuple[Array, int, Codes]:
        """Weights less their zero points (n_in, n_out); the shift; the codes that arrive, seen with
        the operator's zero point."""
        held = self._input_codes()
        need(held.least == own.least, "codes of another type")
        shift = held.zero_point - own.zero_point
        weights = weights_of(self.constants, node, self.value.dims, b, b_zero, transposed)
        return weights, shift, Codes(own.scale, own.zero_point, own.least, own.most)

    def _push_dense(
        self, weights: Array, bias: Array | None, source: Codes, shift: int, scales: Floats | None,
        multiplier: Floats | None, target: Codes | None, float_bias: Array | None = None,
    ) -> None:  # fmt: skip
        """Append an IntegerDense."""
        width = weights.shape[1]
        whole = (
            np.zeros(width, np.int64)
            if bias is None
            else np.broadcast_to(bias.astype(np.int64).reshape(-1), width)
        )
        dot = ExactDot(weights, whole, source.low, source.high)
        factor = (
            None if multiplier is None else steps.constant(np.broadcast_to(multiplier, (width,)))
        )
        fine = factor is None or bool(np.isfinite(factor).all() and (factor >= 0).all())
        need(fine, "scales whose product is negative or not finite")
        added = (
            None
            if float_bias is None
            else steps.constant(np.broadcast_to(float_bias.reshape(-1), (width,)))
        )
        columns = steps.constant(
            np.broadcast_to(np.ones(1) if scales is None else scales, (width,))
        )
        layer = steps.IntegerDense(dot, source, columns, factor, target, added, shift)
        need(
            self.exact or not layer.wraps, "an accumulator that may overflow after a float32 layer"
        )
        top = dot.limit * (1.0 if factor is None else float(factor.max())) + (
            0.0 if added is None else float(np.abs(added).max())
        )
        self._push(layer, target, (width,), top)

    def _q_gemm(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        need(not at.get("transA", 0), "a transposed input")
        own = codes_of(self.constants, node, 1, 2)
        weights, shift, source = self._integer(node, own, 3, 5, bool(at.get("transB", 0)))
        scales, bias = scale_of(self.constants, node, 4), get(self.constants, node, 6)
        need(bias is None or bias.size in (1, weights.shape[1]), "a bias that is no row")
        multiplier = np.float32(at.get("alpha", 1.0)) * own.scale * scales
        target = None
        if get(self.constants, node, 7) is not None:
            need(get(self.constants, node, 8) is not None, "an output scale without a zero point")
            target = codes_of(self.constants, node, 7, 8)
            multiplier = multiplier / target.scale
        self._push_dense(weights, bias, source, shift, scales, multiplier, target)

    def _q_matmul(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        own, target, scales = (
            codes_of(self.constants, node, 1, 2),
            codes_of(self.constants, node, 6, 7),
            scale_of(self.constants, node, 4),
        )
        weights, shift, source = self._integer(node, own, 3, 5)
        self._push_dense(
            weights, None, source, shift, scales, own.scale * scales / target.scale, target
        )

    def _to_float(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        scale, scales, point = (
            scale_of(self.constants, node, 2),
            scale_of(self.constants, node, 3),
            get(self.constants, node, 4),
        )
        held = self._input_codes()
        need(
            scale.size == 1 and (point is None or point.size == 1),
            "activations with a scale a channel",
        )
        zero = 0 if point is None else int(point.reshape(-1)[0])
        own = Codes(scale[0], zero, held.least, held.most)
        weights, shift, source = self._integer(node, own, 1, 5)
        self._push_dense(
            weights, None, source, shift, scales, scale * scales, None, get(self.constants, node, 6)
        )

    def _matmul_integer(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        held, point = self._input_codes(), get(self.constants, node, 2)
        need(point is None or point.size == 1, "activations with a zero point a row")
        own = Codes(
            held.scale, 0 if point is None else int(point.reshape(-1)[0]), held.least, held.most
        )
        weights, shift, source = self._integer(node, own, 1, 3)
        self._push_dense(weights, None, source, shift, None, None, None)

    def _cast(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """int32 or float32 to float32; the step before it has done so."""
        need(
            at.get("to") == TensorProto.FLOAT and self.value.codes is None,
            "a cast that is not to float32",
        )

    def _dynamic(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        need(self.value.codes is None and self.exact, "a range taken after a float32 layer")
        weights, scales, bias = (
            weights_of(self.constants, node, self.value.dims, 1, 3),
            scale_of(self.constants, node, 2),
            get(self.constants, node, 4),
        )
        dot = ExactDot(weights, np.zeros(weights.shape[1], np.int64), -255, 255)
        need(dot.limit < 2**31, "an accumulator that may overflow")
        columns = steps.constant(np.broadcast_to(scales, (weights.shape[1],)))
        added = (
            None
            if bias is None
            else steps.constant(np.broadcast_to(bias.reshape(-1), (weights.shape[1],)))
        )
        top = 2 * self.value.largest * float((np.abs(weights).sum(axis=0) * columns).max())
        top += 0.0 if added is None else float(np.abs(added).max())
        self._push(steps.DynamicDense(dot, columns, added), None, (weights.shape[1],), top)

    # Integer elementwise operators.

    def _q_add(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """Its table is what onnxruntime computes for each of the 256 codes."""
        held = self._input_codes()
        other = self.constants[node.input[3] if node.input[0] == self.current else node.input[0]]
        width = self.value.dims[-1]
        need(
            len(self.value.dims) == 1 and (other.ndim <= 1 or other.shape[0] == 1),
            "an addition of another shape",
        )
        need(other.size in (1, width) and other.ndim <= 2, "an addition of another shape")
        target = codes_of(self.constants, node, 6, 7)
        kind = np.uint8 if held.least == 0 else np.int8
        codes = np.arange(held.least, held.most + 1).astype(kind)
        table = run_node(
            node, self.current, np.repeat(codes[:, None], width, axis=1), self.constants
        )
        centred = table.astype(np.int64) - target.zero_point
        need(
            self.exact or bool((np.diff(centred, axis=0) >= 0).all()),
            "an addition that is not monotone",
        )
        self._push(steps.Lookup(steps.constant(centred), held.zero_point - held.least), target)

    def _q_softmax(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        held, own, target = (
            self._input_codes(),
            codes_of(self.constants, node, 1, 2),
            codes_of(self.constants, node, 3, 4),
        )
        need(self.exact, "a softmax after a float32 layer")
        need(
            len(self.value.dims) == 1 and at.get("axis", -1) in (-1, 1),
            "a softmax over another axis",
        )
        source = Codes(own.scale, held.zero_point, held.least, held.most)
        step = steps.IntegerSoftmax(source, target, self.value.dims[0])
        kind = np.uint8 if held.least == 0 else np.int8
        rows = np.random.default_rng(0).integers(held.least, held.most + 1, (64, step.size))
        rows[0], rows[1], rows[1, 0] = (
            held.least,
            held.least,
            held.most,
        )  # a tie of all, and one class alone
        found = (
            run_node(node, self.current, rows.astype(kind), self.constants).astype(np.int64)
            - target.zero_point
        )
        same = np.array_equal(found, step.apply((rows - held.zero_point).astype(np.float32)))
        need(same, "this version of onnxruntime computes it in another way")
        self._push(step, target)

    # float32 operators.

    def _gemm(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """Not exact: onnxruntime adds up in an order of its own."""
        need(self.value.codes is None, "codes in a float32 layer")
        weights, bias = (
            get(self.constants, node, 1),
            get(self.constants, node, 2) if node.op_type != "MatMul" else None,
        )
        plain = at.get("alpha", 1.0) == at.get("beta", 1.0) == 1.0 and not at.get("transA", 0)
        need(
            plain and weights is not None and weights.dtype == np.float32 and weights.ndim == 2,
            "an unusual Gemm",
        )
        matrix = np.asarray(weights).T if at.get("transB", 0) else np.asarray(weights)
        width = matrix.shape[1]
        need(
            self.value.dims == matrix.shape[:1],
            f"weights {matrix.shape} for values {self.value.dims}",
        )
        row = np.zeros(width) if bias is None else np.broadcast_to(bias.reshape(-1), (width,))
        top = self.value.largest * float(
            np.abs(matrix).astype(np.float64).sum(axis=0).max()
        ) + float(np.abs(row).max())
        need(bool(np.isfinite(top)), "weights that are not finite")
        self.exact = False
        activation = at.get("activation", b"")
        need(activation in (b"", b"Relu"), f"the activation {activation!r}")
        self._push(
            steps.FloatDense(steps.constant(matrix), steps.constant(row)), None, (width,), top
        )
        if activation:
            self._push(steps.Elementwise("Max", steps.constant(np.zeros(1))))

    def _elementwise(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        need(self.value.codes is None, f"{node.op_type} of codes")
        if node.op_type == "Relu":
            self._push(steps.Elementwise("Max", steps.constant(np.zeros(1))))
            return
        if node.op_type == "Clip":
            for index, kind in ((1, "Max"), (2, "Min")):
                end = get(self.constants, node, index)
                if end is not None:
                    self._push(steps.Elementwise(kind, steps.constant(end.reshape(1))))
            return
        flipped = node.input[0] != self.current
        array = np.asarray(get(self.constants, node, 0 if flipped else 1))
        full = len(self.value.dims) + 1
        need(
            array.dtype == np.float32 and array.ndim <= full, "a constant of another type or shape"
        )
        need(array.ndim < full or array.shape[0] == 1, "a constant that differs between images")
        row = np.broadcast_to(array[0] if array.ndim == full else array, self.value.dims).reshape(
            -1
        )
        need(bool(np.isfinite(row).all()), "a constant that is not finite")
        need(
            node.op_type != "Div" or (not flipped and bool((row != 0).all())),
            "a division by zero or by the value",
        )
        size = np.abs(row.astype(np.float64)).max()
        largest = self.value.largest
        match node.op_type:
            case "Mul":
                largest *= float(size)
            case "Div":
                largest /= float(np.abs(row.astype(np.float64)).min())
            case _:
                largest += float(size)
        self._push(
            steps.Elementwise(node.op_type, steps.constant(row), flipped), None, largest=largest
        )

    def _view(self, node: onnx.NodeProto, at: dict[str, Any]) -> None:
        """Another shape or order of the same values."""
        dims, order = viewed(self.constants, node, at, self.value.dims)
        if order is not None:
            self.steps.append(steps.Permute(order))
        self.value = _Value(dims, self.value.codes, self.value.largest)

    def _push(
        self,
        step: Step,
        codes: Codes | None = None,
        dims: tuple[int, ...] | None = None,
        largest: float | None = None,
    ) -> None:
        """Append a step and say what is known of its output."""
        self.steps.append(step)
        top = self.value.largest if largest is None else largest
        need(codes is not None or top < _LARGEST, "values that may overflow float32")
        self.value = _Value(dims or self.value.dims, codes, top)
