"""Small `.onnx` files made node by node, for the tests of the checker's reader."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Constants = dict[str, Any]
RNG = np.random.default_rng(7)
W1, B1 = RNG.normal(size=(16, 12)).astype(np.float32), RNG.normal(size=12).astype(np.float32)
W2, B2 = RNG.normal(size=(12, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32)


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def file(
    nodes: list[onnx.NodeProto],
    constants: Constants,
    dims: tuple[Any, ...] = ("n", 16),
    opset: int = 17,
) -> bytes:
    """A graph from "x" to "y"."""
    values = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, d)
        for name, d in (("x", dims), ("y", ("n", 3)))
    ]
    graph = helper.make_graph(nodes, "test", [ends[0]], [ends[1]], values)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


BASE: Constants = {"w1": W1, "b1": B1, "w2": W2, "b2": B2}
TAIL = [node("Relu", "p", "h"), node("Gemm", "h w2 b2", "y")]


def f32(*values: float) -> Any:
    return np.array(values, np.float32)


W3, B3 = RNG.normal(size=(12, 12)).astype(np.float32), RNG.normal(size=12).astype(np.float32)
W4 = np.concatenate([W3[:6], -W3[:6]])  # of equal values the sum is 0
MEAN, SPREAD = (
    RNG.random((16,), np.float32),
    (RNG.random((16,), np.float32) + 0.1).astype(np.float32),
)
NORMS: Constants = {name: (RNG.random(12, np.float32) + 0.2).astype(np.float32) for name in "gbmv"}
FIRST = node("Gemm", "x w1 b1", "p")
