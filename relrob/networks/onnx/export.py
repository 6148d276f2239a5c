"""A `Dense` network as ONNX bytes: Gemm and Relu, logits out, any batch. The same network gives the
same bytes."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper

from relrob.domain.network import Dense
from relrob.errors import NetworkError

IR_VERSION = 8
OPSET = 17


def to_onnx(dense: Dense) -> bytes:
    """A graph of input "image" (n, inputs) float32, rows as `dense` has them, and output "logits"
    (n, classes), without a softmax.

    Raises NetworkError where `dense` only models its file.
    """
    if not dense.plain:
        raise NetworkError(
            "a network of more than plain dense layers as ONNX",
            "plain dense layers",
            "the file itself",
        )
    nodes, weights, value = [], [], "image"
    last = len(dense.layers) - 1
    for number, layer in enumerate(dense.layers):
        out = "logits" if number == last and not layer.relu else f"sum{number}"
        weights += [
            numpy_helper.from_array(layer.weights, f"weights{number}"),
            numpy_helper.from_array(layer.bias, f"bias{number}"),
        ]
        nodes.append(
            helper.make_node(
                "Gemm", [value, f"weights{number}", f"bias{number}"], [out], name=f"dense{number}"
            )
        )
        value = out
        if layer.relu:
            value = "logits" if number == last else f"relu{number}"
            nodes.append(helper.make_node("Relu", [out], [value], name=f"relu{number}"))
    graph = helper.make_graph(
        nodes,
        "relrob",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", dense.inputs])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", dense.classes])],
        weights,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(
        graph, producer_name="relrob", ir_version=IR_VERSION, opset_imports=opsets
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))
