"""Random quantised dense ONNX graphs, ordinary and hostile: scales, zero points at the ends, biases
that overflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.networks.onnx.kernel_graph import products_saturate

Array = NDArray[Any]
FORMS = ("qgemm", "qlinear", "qdq gemm", "qdq matmul", "integer", "dynamic", "float bias")
RANGES = {"u": (np.uint8, 0, 255), "s": (np.int8, -128, 127)}


@cache
def saturates() -> bool:
    """Has this processor no exact products of full-range int8 weights?"""
    return products_saturate()


def fitting(weights: Array) -> Array:
    """The weights, halved where this processor would saturate their products: the emulator refuses
    such files there."""
    return weights // 2 if weights.dtype == np.int8 and saturates() else weights


@dataclass
class Graph:
    """Nodes and constants of one chain; `value` is its end."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    value: str = "x"

    def hold(self, array: Any) -> str:
        """A new constant."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def add(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node on the inputs as given; its output."""
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], domain=domain, **attributes))
        return out

    def then(self, kind: str, *rest: str, domain: str = "", **attributes: Any) -> None:
        """A node on the value."""
        self.value = self.add(kind, self.value, *rest, domain=domain, **attributes)

    def finish(self, dims: list[int | str], classes: int) -> bytes:
        """The model, from x of shape `dims` to y."""
        self.nodes[-1].output[0] = "y"
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [dims[0], classes])],
            [numpy_helper.from_array(array, name) for name, array in self.constants.items()],
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        return bytes(
            helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString()
        )


@dataclass
class Drawer:
    """Draws what a graph needs; `hostile` of its draws are extreme."""

    rng: np.random.Generator
    graph: Graph
    hostile: float

    def one(self, *choices: Any) -> Any:
        """One of them."""
        return choices[int(self.rng.integers(len(choices)))]

    def codes(self, kind: str, scale: float, pixels: bool = False) -> tuple[np.float32, str, str]:
        """A scale and a zero point, often at an end; at the top all `pixels` saturate, so that is
        rarer for them."""
        dtype, low, high = RANGES[kind]
        zero = self.one(low, high, (low + high + 1) // 2, int(self.rng.integers(low, high + 1)))
        if pixels and self.rng.random() > self.hostile:
            zero = low
        step = np.float32(
            scale * (self.one(1e-3, 1e3, 1e-30) if self.rng.random() < self.hostile else 1)
        )
        step = np.clip(step, np.float32(1e-30), np.float32(1e30))
        if self.rng.random() < 0.3:
            step = np.float32(2.0 ** np.round(np.log2(step)))
        return step, self.graph.hold(step), self.graph.hold(np.asarray(zero, dtype))

    def weights(
        self, n_in: int, n_out: int, kind: str, channels: bool
    ) -> tuple[Array, Array, Array]:
        """8-bit weights, scales and zero points."""
        dtype, low, high = RANGES[kind]
        array = self.rng.integers(low, high + 1, (n_in, n_out)).astype(dtype)
        if self.rng.random() < self.hostile:
            array[:] = self.one(low, high)
        array = fitting(array)
        size = (n_out,) if channels else ()
        scales = np.asarray(2.0 ** self.rng.uniform(-9, -5, size), np.float32)
        zero = np.full(size, 0 if kind == "s" else 128, dtype)
        return array, scales, zero

    def bias(self, n_out: int) -> Array:
        """int32, rarely so large that sums overflow."""
        if self.rng.random() < self.hostile:
            return self.rng.choice(np.array([2**31 - 1, 1 - 2**31, 2**24 + 1, 0], np.int32), n_out)
        return self.rng.integers(-20000, 20000, n_out).astype(np.int32)


def spread(array: Array, zero: Array, kind: str) -> float:
    """A scale of the sums, in units of the products, that leaves them neither saturated nor
    zero."""
    centred = array.astype(np.float64) - zero
    return float(np.sqrt((centred**2).sum(axis=0).mean())) * (90 if kind == "u" else 60) / 60


def network(
    seed: int, form: str, dims: list[int | str], sizes: tuple[int, ...], hostile: float = 0.08
) -> bytes:
    """One graph of that form: a quantised input, dense layers, a float32 output. `sizes`: (d,
    hidden..., classes)."""
    graph = Graph()
    drawer = Drawer(np.random.default_rng(seed), graph, hostile)
    kind = drawer.one("u", "s") if form not in ("integer", "qdq matmul") else "u"
    weight_kind = "s" if kind == "s" else drawer.one("u", "s")
    if len(dims) > 2:
        graph.then("Flatten")
    held = None if form == "dynamic" else drawer.codes(kind, 1 / 255, pixels=True)
    if held is not None and "qdq" not in form and form != "float bias":
        graph.then("QuantizeLinear", *held[1:])
    for number, (n_in, n_out) in enumerate(pairwise(sizes)):
        held = LAYERS[form](
            drawer, held, n_in, n_out, (kind, weight_kind), number == len(sizes) - 2
        )
    if form in ("qgemm", "qlinear"):
        assert held is not None
        graph.then("DequantizeLinear", *held[1:])
    return graph.finish(dims, sizes[-1])


Held = tuple[np.float32, str, str]


def _target(
    drawer: Drawer, held: Held, array: Array, scales: Array, zero: Array, kind: str
) -> Held:
    return drawer.codes(kind, float(held[0]) * float(scales.mean()) * spread(array, zero, kind))


def _q_gemm(
    drawer: Drawer, held: Held, n_in: int, n_out: int, kinds: tuple[str, str], last: bool
) -> Held:
    graph = drawer.graph
    array, scales, zero = drawer.weights(n_in, n_out, kinds[1], drawer.one(True, False))
    target = _target(drawer, held, array, scales, zero, kinds[0])
    transposed = bool(drawer.one(0, 1))
    bias = graph.hold(drawer.bias(n_out)) if drawer.one(0, 1) else ""
    graph.then(
        "QGemm",
        held[1],
        held[2],
        graph.hold(array.T.copy() if transposed else array),
        graph.hold(scales),
        graph.hold(zero),
        bias,
        target[1],
        target[2],
        domain="com.microsoft",
        transB=int(transposed),
        alpha=float(drawer.one(1.0, 0.7)),
    )
    return target


def _q_linear(
    drawer: Drawer, held: Held, n_in: int, n_out: int, kinds: tuple[str, str], last: bool
) -> Held:
    graph = drawer.graph
    array, scales, zero = drawer.weights(n_in, n_out, kinds[1], drawer.one(True, False))
    target = _target(drawer, held, array, scales, zero, kinds[0])
    graph.then("QLinearMatMul", *held[1:], *map(graph.hold, (array, scales, zero)), *target[1:])
    if drawer.one(0, 1, 1):
        dtype, low, high = RANGES[kinds[0]]
        own = drawer.codes(kinds[0], float(target[0]) * drawer.one(0.3, 1.0, 2.5))
        row = graph.hold(drawer.rng.integers(low, high + 1, n_out).astype(dtype))
        after = drawer.codes(kinds[0], float(target[0]) * 1.3)
        sides = [(graph.value, *target[1:]), (row, *own[1:])]
        if drawer.one(0, 1):
            sides.reverse()
        graph.value = graph.add(
            "QLinearAdd", *sides[0], *sides[1], *after[1:], domain="com.microsoft"
        )
        return after
    return target


def _qdq(
    drawer: Drawer, held: Held, n_in: int, n_out: int, kinds: tuple[str, str], last: bool
) -> Held:
    """Quantise, dequantise, a float Gemm or MatMul, maybe a ReLU: what onnxruntime fuses."""
    graph = drawer.graph
    array, scales, zero = drawer.weights(n_in, n_out, kinds[1], drawer.one(True, False))
    graph.then("QuantizeLinear", *held[1:])
    graph.then("DequantizeLinear", *held[1:])
    weights = graph.add("DequantizeLinear", *map(graph.hold, (array, scales, zero)), axis=1)
    if drawer.one(0, 1, 1):
        step = np.asarray(held[0] * np.broadcast_to(scales, (n_out,)), np.float32)
        zeros = graph.hold(np.zeros(n_out, np.int32))
        bias = graph.add(
            "DequantizeLinear", graph.hold(drawer.bias(n_out)), graph.hold(step), zeros, axis=0
        )
        graph.then("Gemm", weights, bias)
    else:
        graph.then("MatMul", weights)
    if last:
        return held
    if drawer.one(0, 1):
        graph.then("Relu")
    return _target(drawer, held, array, scales, zero, kinds[0])


def _qdq_matmul(
    drawer: Drawer, held: Held, n_in: int, n_out: int, kinds: tuple[str, str], last: bool
) -> Held:
    """MatMul, then a float32 bias: an integer product with a float32 output, a float32 sum."""
    graph = drawer.graph
    array, scales, zero = drawer.weights(n_in, n_out, kinds[1], drawer.one(True, False))
    graph.then("QuantizeLinear", *held[1:])
    graph.then("DequantizeLinear", *held[1:])
    graph.then(
        "MatMul", graph.add("DequantizeLinear", *map(graph.hold, (array, scales, zero)), axis=1)
    )
    target = _target(drawer, held, array, scales, zero, kinds[0])
    if drawer.one(0, 1):
        graph.then("QuantizeLinear", *target[1:])
        graph.then("DequantizeLinear", *target[1:])
    if not last and drawer.one(0, 1):
        graph.then("Relu")
    return target


def _integer(
    drawer: Drawer, held: Held, n_in: int, n_out: int, kinds: tuple[str, str], last: bool
) -> Held:
    """MatMulInteger, Cast, Mul, Add, as written by hand."""
    graph = drawer.graph
    array, scales, zero = drawer.weights(n_in, n_out, kinds[1], False)
    graph.then("MatMulInteger", graph.hold(array), held[2], graph.hold(zero))
    graph.then("Cast", to=TensorProto.FLOAT)
    graph.then("Mul", graph.hold(np.asarray(held[0] * scales, np.float32)))
    graph.then("Add", graph.hold(drawer.rng.standard_normal(n_out).astype(np.float32)))
    if last:
        return held
    graph.then("Relu")
    target = _target(drawer, held, array, scales, zero, kinds[0])
    graph.then("QuantizeLinear", *target[1:])
    return target


def _dynamic(
    drawer: Drawer, held: Held | None, n_in: int, n_out: int, kinds: tuple[str, str], last: bool
) -> None:
    """What quantize_dynamic becomes after fusion."""
    graph = drawer.graph
    array, scales, zero = drawer.weights(n_in, n_out, kinds[1], drawer.one(True, False))
    bias = (
        graph.hold(drawer.rng.standard_normal(n_out).astype(np.float32)) if drawer.one(0, 1) else ""
    )
    given = map(graph.hold, (array, scales, zero))
    graph.then("DynamicQuantizeMatMul", *given, bias, domain="com.microsoft")
    if not last:
        graph.then("Relu")


def _float_bias(
    drawer: Drawer, held: Held, n_in: int, n_out: int, kinds: tuple[str, str], last: bool
) -> Held:
    """A Gemm whose bias is float32: onnxruntime does not fuse it."""
    graph = drawer.graph
    array, scales, zero = drawer.weights(n_in, n_out, kinds[1], drawer.one(True, False))
    graph.then("QuantizeLinear", *held[1:])
    graph.then("DequantizeLinear", *held[1:])
    weights = graph.add("DequantizeLinear", *map(graph.hold, (array, scales, zero)), axis=1)
    graph.then("Gemm", weights, graph.hold(drawer.rng.standard_normal(n_out).astype(np.float32)))
    if not last:
        graph.then("Relu")
    return _target(drawer, held, array, scales, zero, kinds[0])


LAYERS: dict[str, Any] = {
    "qgemm": _q_gemm,
    "qlinear": _q_linear,
    "qdq gemm": _qdq,
    "qdq matmul": _qdq_matmul,
    "integer": _integer,
    "dynamic": _dynamic,
    "float bias": _float_bias,
}
