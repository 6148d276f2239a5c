"""Refusal of graphs that draw random numbers: their outputs are no function of the image, and no
verdict can be of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import onnx
from onnx import AttributeProto, numpy_helper

from relrob.errors import NetworkError

_DRAWING: Final = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
# Before this opset, Dropout drops unless `is_test` is set.
_TESTED: Final = 7


def refuse_random(model: onnx.ModelProto, path: str) -> None:
    """Raise NetworkError for a graph, subgraph or function that draws random numbers, or may."""
    opset = max(
        (each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=1
    )
    known = {tensor.name: tensor for tensor in model.graph.initializer}
    known |= {
        n.output[0]: n.attribute[0].t
        for n in model.graph.node
        if n.op_type == "Constant" and len(n.attribute) == 1
    }
    functions = (node for function in model.functions for node in function.node)
    for position, node in enumerate((*_nodes(model.graph.node), *_nodes(functions)), start=1):
        if node.op_type in _DRAWING or (node.op_type == "Dropout" and _trains(node, known, opset)):
            how = " in training mode" if node.op_type == "Dropout" else ""
            raise NetworkError(
                f"{path}: node {position} {node.name!r} ({node.op_type}{how}) draws random numbers",
                "outputs that are a function of the image",
                "export it for inference",
            )


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    """The nodes, and those of their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            graphs = (attribute.g,) if attribute.type == AttributeProto.GRAPH else attribute.graphs
            for graph in graphs:
                yield from _nodes(graph.node)


def _trains(node: onnx.NodeProto, known: dict[str, onnx.TensorProto], opset: int) -> bool:
    """Does a Dropout drop, or may it?"""
    if opset < _TESTED:
        return not any(attribute.name == "is_test" and attribute.i for attribute in node.attribute)
    if len(node.input) < 3 or not node.input[2]:
        return False
    tensor = known.get(node.input[2])
    try:
        return tensor is None or bool(numpy_helper.to_array(tensor).any())
    except (ValueError, TypeError, KeyError):
        return True
