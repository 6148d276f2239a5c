"""Refusal of graphs whose work depends on the pixels, such as the number of rounds of a loop or the
size of a value.

Such a file may behave on some images and run without end, or fill the memory, on others. Two facts
are kept of each value: whether its numbers may depend on the pixels, and whether its shape may.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final, final

import onnx
from onnx import AttributeProto

from relrob.errors import UnsupportedLayerError

# Operator -> places of the inputs that say how large its outputs are.
_SIZES: Final[dict[str, tuple[int, ...]]] = {
    **dict.fromkeys(("ConstantOfShape", "HannWindow", "HammingWindow", "BlackmanWindow"), (0,)),
    **dict.fromkeys(
        ("Expand", "Tile", "Pad", "Upsample", "OneHot", "CenterCropPad", "AffineGrid", "DFT"), (1,)
    ),
    **dict.fromkeys(("Range", "MelWeightMatrix"), (0, 1, 2)),
    **dict.fromkeys(("Resize", "STFT"), (1, 2, 3)),
    "Col2Im": (1, 2),
    "MaxUnpool": (2,),
}
_PICKS: Final = {"NonZero", "Compress", "Unique", "NonMaxSuppression", "StringSplit"}
_BODIES: Final = {"If", "Loop", "Scan", "SequenceMap"}
_DEEPEST: Final = 32


@dataclass(frozen=True)
class _Known:
    """May the numbers depend on the pixels; may the shape?"""

    value: bool = False
    shape: bool = False

    def __or__(self, other: _Known) -> _Known:
        return _Known(self.value or other.value, self.shape or other.shape)


_FREE: Final = _Known()
_Values = MutableMapping[str, _Known]


def refuse_lengths(model: onnx.ModelProto, path: str) -> None:
    """Raise UnsupportedLayerError for a graph, subgraph or function whose work may depend on the
    pixels."""
    held = {tensor.name for tensor in model.graph.initializer}
    values: _Values = {each.name: _Known(each.name not in held) for each in model.graph.input}
    functions = {(each.domain, each.name): each for each in model.functions}
    _Walk(path, functions).graph(model.graph.node, values)


def _all(found: Iterable[_Known]) -> _Known:
    whole = _FREE
    for each in found:
        whole |= each
    return whole


@final
class _Walk:
    """Visits nodes in order; `_guarded`: inside a branch that only some images take; `_depth`: of
    graphs in graphs."""

    def __init__(self, path: str, functions: dict[tuple[str, str], onnx.FunctionProto]) -> None:
        self._path, self._functions = path, functions
        self._guarded, self._depth = False, 0

    def graph(self, nodes: Iterable[onnx.NodeProto], values: _Values) -> None:
        """Visit every node, in the file's order, and add its outputs to `values`."""
        if self._depth > _DEEPEST:
            raise UnsupportedLayerError(
                f"{self._path} holds graphs in graphs", f"{_DEEPEST} of them"
            )
        self._depth += 1
        for node in nodes:
            given = [values.get(name, _FREE) if name else _FREE for name in node.input]
            found = self._node(node, given, values)
            values.update({name: found for name in node.output if name})
        self._depth -= 1

    def _node(self, node: onnx.NodeProto, given: list[_Known], values: _Values) -> _Known:
        """The facts of its outputs."""
        whole = _all(given)
        bodies = [
            body
            for a in node.attribute
            for body in ([a.g] if a.type == AttributeProto.GRAPH else a.graphs)
        ]
        function = self._functions.get((node.domain, node.op_type))
        if bodies:
            return self._held(node, bodies, given, values)
        if function is not None:
            inside: _Values = dict(zip(function.input, given, strict=False))
            self.graph(function.node, inside)
            return _all(inside.get(name, _FREE) for name in function.output)
        if node.op_type in ("Shape", "Size"):
            return _Known(whole.shape)
        sizes = [given[place] for place in _SIZES.get(node.op_type, ()) if place < len(given)]
        if any(size.value for size in sizes) or (sizes and self._guarded):
            raise self._refused(node, "the size of what it makes")
        picked = node.op_type in _PICKS and whole.value
        return _Known(whole.value or whole.shape, whole.shape or picked)

    def _held(
        self,
        node: onnx.NodeProto,
        bodies: list[onnx.GraphProto],
        given: list[_Known],
        values: _Values,
    ) -> _Known:
        """An operator that runs graphs of its own."""
        if node.op_type not in _BODIES:
            raise self._refused(node, "what it runs")
        whole = _all(given)
        if node.op_type == "If":
            before, self._guarded = self._guarded, self._guarded or whole.value
            found = _all(each for body in bodies for each in self._body(body, [], values))
            self._guarded = before
            return found | _Known(whole.value, whole.value)
        if self._guarded or (node.op_type == "Loop" and _all(given[:2]).value):
            raise self._refused(node, "how often it runs")
        first = 2 if node.op_type == "Loop" else 0
        carried = given[first:]
        # The outputs of one round are the inputs of the next.
        while True:
            given_back = self._body(bodies[0], [_FREE] * first + carried, values)
            if first and given_back[:1] and given_back[0].value:
                raise self._refused(node, "how often it runs")
            after = [
                a | b for a, b in zip_longest(carried, given_back[first // 2 :], fillvalue=_FREE)
            ]
            if after == carried:
                return _all(after)
            carried = after

    def _body(self, body: onnx.GraphProto, given: list[_Known], values: _Values) -> list[_Known]:
        """The facts of each output of a graph that sees the values around it. `given`: those of its
        own inputs."""
        inside: _Values = ChainMap({}, values)
        inside.update({each.name: found for each, found in zip(body.input, given, strict=False)})
        self.graph(body.node, inside)
        return [inside.get(each.name, _FREE) for each in body.output]

    def _refused(self, node: onnx.NodeProto, what: str) -> UnsupportedLayerError:
        return UnsupportedLayerError(
            f"{self._path}: {node.name!r} ({node.op_type}): {what} may depend on the pixels",
            "as much work for every image",
            "export it without such a loop",
        )
