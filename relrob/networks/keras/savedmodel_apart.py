"""Proof that a TensorFlow graph treats the images of a batch apart, from lists of operators and
their positions."""

from __future__ import annotations

from math import prod
from typing import Any, Final

import tensorflow as tf

# One result an element, of values of the same number of dimensions, with the same bits in any place
# of a batch. Exp, Log, Rsqrt and functions of them have other last bits in whole vectors than in
# the rest of a batch.
_ELEMENTWISE: Final = {
    *("Identity", "Relu", "Relu6", "LeakyRelu", "Tanh", "Neg", "Square", "Sqrt"),
    *("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool"),
}
_WITH_CONSTANT: Final = {"BiasAdd", "Add", "AddV2", "Sub", "Mul", "RealDiv", "Maximum", "Minimum"}
_LAST: Final = {"Softmax"}
_REDUCTIONS: Final = {"Mean", "Sum", "Max"}


def treats_apart(graph: Any) -> bool:
    """Is every operator that reads an image's value known to treat images apart, in a frozen
    function's graph?"""
    seen = _Seen(graph)
    return all(seen.known(node) for node in graph.as_graph_def().node)


class _Seen:
    """The values known so far: constants, values (n, ...) of n images, and numbers made of their
    shapes."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._constants: dict[str, Any] = {}
        self._values: set[str] = set()
        self._shapes: set[str] = set()
        # Values n, the number of images.
        self._counts: set[str] = set()
        # Shapes (n, ...).
        self._shaped: set[str] = set()

    def known(self, node: Any) -> bool:
        """Is the next operator one that treats images apart, or one that reads no value?"""
        inputs = [name.split(":")[0] for name in node.input if not name.startswith("^")]
        if node.op == "Const":
            self._constants[node.name] = tf.make_ndarray(node.attr["value"].tensor)
        elif not self._values & set(inputs) and node.op != "Placeholder":
            self._of_shapes(node, inputs)
        elif node.op == "Shape":
            self._shapes.add(node.name)
        else:
            self._values.add(node.name)
            shape = self._graph.get_tensor_by_name(f"{node.name}:0").shape
            return (
                shape.rank is not None
                and shape.rank > 1
                and (node.op == "Placeholder" or self._apart(node, inputs))
            )
        return True

    def _of_shapes(self, node: Any, inputs: list[str]) -> None:
        """shape[0], and (shape[0], ...), as Flatten computes them."""
        masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
        match node.op:
            case "Identity" if inputs[0] in self._constants:
                self._constants[node.name] = self._constants[inputs[0]]
            case "StridedSlice" if inputs[0] in self._shapes and [
                node.attr[m].i for m in masks
            ] == [0, 0, 0, 0, 1]:
                begin = self._constants.get(inputs[1])
                self._counts |= (
                    {node.name} if begin is not None and begin.tolist() == [0] else set()
                )
            case "Pack" if inputs[0] in self._counts and node.attr["axis"].i == 0:
                self._shaped |= (
                    {node.name} if all(name in self._constants for name in inputs[1:]) else set()
                )

    def _apart(self, node: Any, inputs: list[str]) -> bool:
        """Does an operator whose first input is a value, and the rest constants, treat images
        apart?"""
        rest: list[Any] = [self._constants.get(name) for name in inputs[1:]]
        if inputs[0] not in self._values or self._values & set(inputs[1:]):
            return False
        if node.op == "Reshape":
            return inputs[1] in self._shaped or (
                rest[0] is not None and self._rows_kept(inputs[0], rest[0])
            )
        if any(one is None for one in rest):
            return False
        if node.op in _REDUCTIONS:
            return bool((rest[0] > 0).all())
        if node.op == "MatMul":
            return not node.attr["transpose_a"].b
        rank = int(self._graph.get_tensor_by_name(f"{inputs[0]}:0").shape.rank)
        if (
            node.op in _WITH_CONSTANT
            and rest[0].ndim >= rank
            and (rest[0].ndim > rank or len(rest[0]) > 1)
        ):
            return False
        return node.op in _ELEMENTWISE | _WITH_CONSTANT | _LAST and node.attr["data_format"].s in (
            b"",
            b"NHWC",
        )

    def _rows_kept(self, name: str, wanted: Any) -> bool:
        """Does a reshape to (-1, ...) leave an image its row?"""
        dims = self._graph.get_tensor_by_name(f"{name}:0").shape.as_list()[1:]
        whole = None not in dims and wanted.ndim == 1 and wanted.size > 1 and wanted[0] == -1
        return whole and prod(int(n) for n in wanted[1:]) == prod(dims)
