"""An ONNX file as steps for gradients: products, convolutions, pools, sums, their quantised forms,
and what stands between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final

import numpy as np
import onnx

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.networks.content import checked_bytes
from relrob.networks.flow import (
    Affine,
    Clip,
    Flow,
    Mean,
    Padded,
    Product,
    Rounded,
    RowRounded,
    Shaped,
    Step,
    Sum,
    dims_after,
)
from relrob.networks.onnx.constants import Constant, attributes
from relrob.networks.onnx.outputs import with_output
from relrob.networks.onnx.weighted import Walk
from relrob.networks.onnx.windows import convolution, pool
from relrob.networks.shapes import without_batch
from relrob.networks.weighted import NotReadError, Weighted

_ENDS: Final = ("Softmax", "LogSoftmax", "Sigmoid", "QLinearSoftmax", "QLinearSigmoid")
# Behind the softmax these change no label.
_PASSING: Final = ("Identity", "Cast", "QuantizeLinear", "DequantizeLinear", "Reshape", "Flatten")
_ONE: Final = np.ones((), np.float32)
_NONE: Final = np.zeros((), np.float32)


def read_flow(network: Network) -> Flow:
    """The steps, up to a softmax or sigmoid at the end. Raises NotReadError."""
    model = onnx.load_model_from_string(checked_bytes(network))
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise NotReadError("weights in other files are not read")
    model, _ = with_output(model, network.path, network.contract.output)
    try:
        return _Walk(model.graph, network).flow()
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        raise NotReadError(f"attributes or constants of another form ({error})") from error


@dataclass(eq=False)
class _Walk:
    """The nodes in order. `_value`: the number of the value that a name is. `_scales`: names of
    scales and zero points that are computed from an image."""

    graph: onnx.GraphProto
    network: Network
    _steps: list[Step] = field(default_factory=list)
    _value: dict[str, int] = field(default_factory=dict)
    _scales: set[str] = field(default_factory=set)
    _ended: bool = False

    def flow(self) -> Flow:
        """All of it."""
        held = {tensor.name for tensor in self.graph.initializer}
        given = next(each for each in self.graph.input if each.name not in held)
        shape = tuple(int(dim.dim_value) or -1 for dim in given.type.tensor_type.shape.dim)
        image, _ = without_batch(shape, self.network.image_shape)
        self._value[given.name] = 0
        self._weights, self._dims = Walk(self.graph), [image]
        for position, node in enumerate(self.graph.node, start=1):
            if not self._weights.takes_constant(node):
                self._visit(node, f"node {position} ({node.op_type})")
        if self._value.get(self.graph.output[0].name) != len(self._steps):
            raise NotReadError("the output is not the last value")
        return Flow(image, tuple(self._steps))

    def _visit(self, node: onnx.NodeProto, label: str) -> None:
        """One node that depends on the image."""
        if node.op_type in _ENDS and not self._ended:
            self._ended, found = True, self.of(node)
        elif self._ended and node.op_type not in _PASSING:
            raise NotReadError(f"{label} stands behind the softmax")
        elif self._ended or node.op_type in ("Identity", "Cast", "Dropout", "DequantizeLinear"):
            found = self.of(node)
        elif set(node.input) & self._scales and not set(node.input) & set(self._value):
            self._scales.update(node.output)
            return
        elif node.op_type in _READERS:
            _READERS[node.op_type](self, node)
            found = len(self._steps)
            if node.op_type in ("Mul", "DequantizeLinear") and set(node.input) & self._scales:
                found = self.of(node)
        else:
            raise NotReadError(f"{label} is not read")
        self._value[node.output[0]] = found

    def add(self, step: Step) -> int:
        """The number of the value that a step gives."""
        self._dims.append(dims_after(step, self._dims[step.source]))
        self._steps.append(step)
        return len(self._steps)

    def of(self, node: onnx.NodeProto) -> int:
        """The number of the first value that a node reads."""
        for name in node.input:
            if name in self._value:
                return self._value[name]
        raise NotReadError(f"{node.op_type} reads {node.input[0]!r}, which is no value")

    def constant(self, node: onnx.NodeProto, place: int) -> Constant:
        """An input that is a constant."""
        found = self._weights.constant(node.input[place]) if place < len(node.input) else None
        if found is None:
            raise NotReadError(f"{node.op_type} reads an input {place} that is no constant")
        return found

    def whole(self, node: onnx.NodeProto, place: int, name: str) -> list[int]:
        """Whole numbers in an attribute, or in an input of later versions."""
        found = attributes(node).get(name)
        if found is None:
            found = self.constant(node, place).values.ravel()
        return [int(each) for each in found]

    def layer(self, node: onnx.NodeProto) -> tuple[Weighted, Floats]:
        """The weights of a node, and its bias."""
        made = self._weights.layer(node)
        if made is None:
            raise NotReadError(f"{node.op_type} of two values is not read")
        bias = np.zeros(made.shape[0]) if made.bias is None else made.bias
        return made, bias.astype(np.float32)

    def rounded(self, made: int, name: str, scale: str, zero: str) -> None:
        """A value in the codes of these constants."""
        codes = self._weights.codes(name, scale, zero)
        if codes is None:
            raise NotReadError(f"the codes of {name!r} are not read")
        self.add(Rounded(made, codes))

    def beside(self, values: Any, source: int) -> Floats:
        """A constant that goes with the dimensions of an image."""
        array = np.asarray(values, np.float32)
        dims = self._dims[source]
        if array.ndim > len(dims):
            if array.shape[: array.ndim - len(dims)] != (1,) * (array.ndim - len(dims)):
                raise NotReadError(f"a constant of shape {array.shape} mixes images")
            array = array.reshape(array.shape[array.ndim - len(dims) :])
        return array

    # One reader a kind of node.

    def product(self, node: onnx.NodeProto) -> None:
        """Gemm, MatMul and their quantised forms."""
        layer, bias = self.layer(node)
        source = self.of(node)
        if node.op_type == "DynamicQuantizeMatMul":
            source = self.add(RowRounded(source, symmetric=False))
        weights = np.ascontiguousarray(layer.values.T, np.float32)
        made = self.add(Product(source, weights, bias, len(self._dims[source]) == 1))
        self._result(node, layer, made)

    def convolved(self, node: onnx.NodeProto) -> None:
        """Conv, ConvInteger and QLinearConv."""
        layer, bias = self.layer(node)
        source = self.of(node)
        step = convolution(source, node, layer, bias, self._dims[source])
        self._result(node, layer, self.add(step))

    def _result(self, node: onnx.NodeProto, layer: Weighted, made: int) -> None:
        """The codes of a quantised form's output."""
        if layer.result is not None:
            self.add(Rounded(made, layer.result))
        elif node.op_type in ("QLinearMatMul", "QLinearConv"):
            raise NotReadError(f"the codes of {node.output[0]!r} are not read")

    def pooled(self, node: onnx.NodeProto) -> None:
        """MaxPool and AveragePool, also of codes."""
        source = self.of(node)
        made = self.add(pool(source, node, self._dims[source]))
        if node.op_type == "QLinearAveragePool":
            self.rounded(made, node.output[0], node.input[3], node.input[4])

    def mean(self, node: onnx.NodeProto) -> None:
        """GlobalAveragePool, also of codes, and ReduceMean."""
        source, settings = self.of(node), attributes(node)
        rank = len(self._dims[source])
        if node.op_type == "ReduceMean":
            places = tuple(axis % (rank + 1) - 1 for axis in self.whole(node, 1, "axes"))
            keep = bool(settings.get("keepdims", 1))
        else:
            if settings.get("channels_last", 0):
                raise NotReadError("a pool with channels last")
            places, keep = tuple(range(1, rank)), True
        if min(places) < 0:
            raise NotReadError(f"{node.op_type} mixes images")
        made = self.add(Mean(source, places, keep))
        if node.op_type == "QLinearGlobalAveragePool":
            self.rounded(made, node.output[0], node.input[3], node.input[4])

    def arithmetic(self, node: onnx.NodeProto) -> None:
        """Add of two values; Add, Sub, Mul, Div of a value and a constant."""
        names = [name for name in node.input if name]
        if set(names) & self._scales:
            if node.op_type != "Mul":
                raise NotReadError(f"{node.op_type} of a computed scale")
            return
        source = self.of(node)
        if all(name in self._value for name in names):
            one, other = (self._value[name] for name in names)
            if node.op_type != "Add" or self._dims[one] != self._dims[other]:
                raise NotReadError(f"{node.op_type} of two values is not read")
            self.add(Sum(one, other))
            return
        later = names[0] in self._value
        values = self.beside(self.constant(node, int(later)).floats, source)
        match node.op_type:
            case "Add":
                self.add(Affine(source, _ONE, values))
            case "Mul":
                self.add(Affine(source, values, _NONE))
            case "Sub":
                self.add(Affine(source, _ONE if later else -_ONE, -values if later else values))
            case "Div" if later:
                self.add(Affine(source, np.asarray(1 / values, np.float32), _NONE))
            case _:
                raise NotReadError(f"{node.op_type} of a constant by a value")

    def added_codes(self, node: onnx.NodeProto) -> None:
        """QLinearAdd: of two values, or of a value and a constant."""
        source = self.of(node)
        if node.input[0] in self._value and node.input[3] in self._value:
            made = self.add(Sum(self._value[node.input[0]], self._value[node.input[3]]))
        else:
            at = 3 if node.input[0] in self._value else 0
            zero = self.constant(node, at + 2) if node.input[at + 2] else None
            held = self.constant(node, at).scaled(self.constant(node, at + 1), zero, -1)
            made = self.add(Affine(source, _ONE, self.beside(held.floats, source)))
        self.rounded(made, node.output[0], node.input[6], node.input[7])

    def normalised(self, node: onnx.NodeProto) -> None:
        """BatchNormalization."""
        gamma, beta, mean, variance = (self.constant(node, at).floats for at in range(1, 5))
        factor = gamma / np.sqrt(variance + float(attributes(node).get("epsilon", 1e-5)))
        source = self.of(node)
        wide = (-1, *(1,) * (len(self._dims[source]) - 1))
        shift = (beta - mean * factor).reshape(wide).astype(np.float32)
        self.add(Affine(source, factor.reshape(wide).astype(np.float32), shift))

    def clipped(self, node: onnx.NodeProto) -> None:
        """Relu and Clip."""
        ends = [0.0, float("inf")]
        if node.op_type == "Clip":
            ends, settings = [-float("inf"), float("inf")], attributes(node)
            for at, name in enumerate(("min", "max")):
                if name in settings:
                    ends[at] = float(settings[name])
                elif len(node.input) > at + 1 and node.input[at + 1]:
                    ends[at] = float(self.constant(node, at + 1).floats.ravel()[0])
        self.add(Clip(self.of(node), *ends))

    def coded(self, node: onnx.NodeProto) -> None:
        """QuantizeLinear, and DynamicQuantizeLinear, whose scales nobody else computes."""
        if node.op_type == "DynamicQuantizeLinear":
            self._scales.update(node.output[1:])
            self.add(RowRounded(self.of(node), symmetric=False))
            return
        zero = node.input[2] if len(node.input) > 2 else ""
        self.rounded(self.of(node), node.output[0], node.input[1], zero)

    def shaped(self, node: onnx.NodeProto) -> None:
        """Reshape, Flatten, Squeeze, Unsqueeze and Transpose."""
        source, settings = self.of(node), attributes(node)
        dims = self._dims[source]
        turn: tuple[int, ...] = ()
        match node.op_type:
            case "Transpose":
                order = [int(each) for each in settings.get("perm", ())]
                if len(order) != len(dims) + 1 or order[0] != 0:
                    raise NotReadError("a Transpose that turns the batch")
                turn = tuple(place - 1 for place in order[1:])
                wanted = tuple(dims[place] for place in turn)
            case "Flatten" if settings.get("axis", 1) in (1, -len(dims)):
                wanted = (prod(dims),)
            case "Reshape":
                wanted = _reshaped(self.whole(node, 1, "shape"), dims)
            case "Squeeze" | "Unsqueeze":
                wanted = tuple(n for n in dims if n != 1) if node.op_type == "Squeeze" else dims
                axes = self.whole(node, 1, "axes")
                if 0 in axes or (node.op_type == "Squeeze" and len(axes) != dims.count(1)):
                    raise NotReadError(f"a {node.op_type} of single dimensions")
                for axis in sorted(axes) if node.op_type == "Unsqueeze" else ():
                    wanted = (*wanted[: axis - 1], 1, *wanted[axis - 1 :])
            case _:
                raise NotReadError(f"{node.op_type} of this form is not read")
        self.add(Shaped(source, wanted, turn))

    def padded(self, node: onnx.NodeProto) -> None:
        """Pad with zeros."""
        pads = self.whole(node, 1, "pads")
        rank = len(pads) // 2
        fills = [self.constant(node, 2).floats.ravel()[0]] if len(node.input) > 2 else []
        if any(fills) or attributes(node).get("mode", b"constant") != b"constant":
            raise NotReadError("a Pad with other values than 0")
        pairs = tuple((pads[at], pads[rank + at]) for at in range(rank))
        if any(pairs[0]) or min(pads) < 0:
            raise NotReadError("a Pad that adds images or cuts them")
        self.add(Padded(self.of(node), pairs[1:]))


_READERS: Final[dict[str, Callable[[_Walk, onnx.NodeProto], None]]] = {
    **dict.fromkeys(("Gemm", "MatMul", "MatMulInteger", "MatMulNBits", "QGemm"), _Walk.product),
    **dict.fromkeys(("QLinearMatMul", "DynamicQuantizeMatMul"), _Walk.product),
    "MatMulIntegerToFloat": _Walk.product,
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), _Walk.convolved),
    **dict.fromkeys(("MaxPool", "AveragePool", "QLinearAveragePool"), _Walk.pooled),
    **dict.fromkeys(("GlobalAveragePool", "QLinearGlobalAveragePool"), _Walk.mean),
    "ReduceMean": _Walk.mean,
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _Walk.arithmetic),
    "QLinearAdd": _Walk.added_codes,
    "BatchNormalization": _Walk.normalised,
    **dict.fromkeys(("Relu", "Clip"), _Walk.clipped),
    **dict.fromkeys(("QuantizeLinear", "DynamicQuantizeLinear"), _Walk.coded),
    **dict.fromkeys(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"), _Walk.shaped),
    "Pad": _Walk.padded,
}


def _reshaped(shape: list[int], dims: tuple[int, ...]) -> tuple[int, ...]:
    """The dimensions of an image that a Reshape asks for, whose first one is the batch."""
    wanted = [dims[at - 1] if n == 0 and at else n for at, n in enumerate(shape)][1:]
    if wanted.count(-1) == 1:
        rest = prod(n for n in wanted if n != -1)
        wanted = [prod(dims) // max(rest, 1) if n == -1 else n for n in wanted]
    return tuple(wanted)
