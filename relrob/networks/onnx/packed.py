"""Which matrix products of an ONNX graph onnxruntime rounds by the number of images in a batch.

onnxruntime packs a matrix that is there before the session runs, and adds the products of each row
up in one order, however many rows there are. Without a packed matrix, it adds those of a single row
up in another order than those of many. The tests hold both against onnxruntime.
"""

from __future__ import annotations

from typing import Final

import onnx

from relrob.networks.details import ONNX_LEVELS
from relrob.networks.onnx.graph import DOMAINS

# From this IR version on a caller may replace weights that are inputs of the graph.
_OVERRIDDEN: Final = 4
_PRODUCTS: Final = ("MatMul", "Gemm")
# The levels that make one integer product of DequantizeLinear, a product and QuantizeLinear.
_FUSING: Final = ("all", "extended")
# Steps between constants that onnxruntime takes before the session runs, at every level but
# "disabled". It leaves DequantizeLinear in the graph.
_FOLDED: Final = (
    *("Identity", "Cast", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
    *("Add", "Sub", "Mul", "Div", "Neg", "Concat"),
)


def rounds_by_number(model: onnx.ModelProto, runtime: str) -> bool:
    """May an image have other last bits in a batch than alone, because a product has no packed
    matrix? It may in half precision too, except where all optimisations run.

    `runtime`: one of `ONNX_LEVELS`. The answer for any other is False.
    """
    level = ONNX_LEVELS.get(runtime)
    if level is None:
        return False
    graph = model.graph
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    if model.ir_version >= _OVERRIDDEN:
        types = {
            name: kind
            for name, kind in types.items()
            if name not in {value.name for value in graph.input}
        }
    halves = level != "all" and onnx.TensorProto.FLOAT16 in types.values()
    held, codes = set(types), set[str]()
    for node in graph.node:
        own = node.domain in DOMAINS
        folded = level != "disabled" and node.op_type in _FOLDED
        if own and (node.op_type == "Constant" or (folded and held.issuperset(node.input))):
            held.update(node.output)
        elif node.op_type == "DequantizeLinear" and level in _FUSING:
            codes.update(node.output)
        elif node.op_type in _PRODUCTS:
            fused = codes.issuperset(node.input[:2]) and _becomes_codes(graph, node)
            if halves or not (fused or node.input[1] in held):
                return True
    return False


def _becomes_codes(graph: onnx.GraphProto, product: onnx.NodeProto) -> bool:
    """Does nothing but QuantizeLinear, or a Relu before it, read the product? Is it the last
    step?"""
    read = _kinds(graph, product.output[0])
    if read == ["Relu"]:
        relu = next(node for node in graph.node if product.output[0] in node.input)
        return _kinds(graph, relu.output[0]) == ["QuantizeLinear"]
    return read in ([], ["QuantizeLinear"])


def _kinds(graph: onnx.GraphProto, name: str) -> list[str]:
    """The kinds of the nodes that read a value."""
    return [node.op_type for node in graph.node if name in node.input]
