"""The output of an `.onnx` file that holds a score a class, where the file has several.

Classifiers of skl2onnx give a label and probabilities: a float tensor, or behind a ZipMap a list of
maps from label to float. The graph that the rest of the reader sees ends in the chosen output; the
runtime executes the file as it is and is asked for that output alone.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper

from relrob.errors import ShapeError

_FLOATS: Final = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)


def with_output(model: onnx.ModelProto, path: str, asked: str) -> tuple[onnx.ModelProto, str]:
    """The model with one output, and that output's name; "" where the file has one anyway.

    `asked`: the name of an output, "" for the only one that can hold scores. Raises ShapeError.
    """
    outputs = {value.name: value for value in model.graph.output}
    if asked and asked not in outputs:
        raise ShapeError(f"output {asked!r} of {path}", ", ".join(outputs) or "none")
    able = [name for name, value in outputs.items() if _may_hold_scores(value)]
    if asked and asked not in able:
        raise ShapeError(
            f"output {asked!r} of {path} holds no float scores", ", ".join(able) or "none"
        )
    if len(outputs) == 1 and (asked or not _is_maps(model.graph.output[0])):
        return (model, "") if not _is_maps(model.graph.output[0]) else (_cut(model, asked), asked)
    chosen = [asked] if asked else able
    if len(chosen) != 1:
        raise ShapeError(
            f"{path} has {len(outputs)} outputs ({', '.join(outputs)})",
            "one output, a score a class",
            f"--output {able[0]}" if able else "",
        )
    return _cut(model, chosen[0]), chosen[0]


def scores(value: Any) -> NDArray[Any]:
    """The value of an output as rows: as it is, or of maps the scores in the order of their
    labels."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        rows = [[row[label] for label in sorted(row)] for row in value]
        return np.array(rows, np.float32)
    return np.asarray(value)


def _may_hold_scores(value: onnx.ValueInfoProto) -> bool:
    """Is it a list of maps to floats, or a float tensor of rows of two or more?"""
    if _is_maps(value):
        return True
    kind = value.type.tensor_type
    if kind.elem_type not in _FLOATS:
        return False
    dims = [d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim]
    return not kind.HasField("shape") or (len(dims) >= 2 and dims[-1] != 1)


def _is_maps(value: onnx.ValueInfoProto) -> bool:
    kind = value.type.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type
    return bool(value.type.HasField("sequence_type") and kind == TensorProto.FLOAT)


def _cut(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The model with the operators that the output needs, and a tensor in place of maps."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    value = next(value for value in model.graph.output if value.name == name)
    nodes = list(model.graph.node)
    makers = {output: at for at, node in enumerate(nodes) for output in node.output if output}
    result = name
    if _is_maps(value) and name in makers and nodes[makers[name]].op_type == "ZipMap":
        maker = nodes[makers[name]]
        result = maker.input[0]
        counts = [len(attribute.ints) + len(attribute.strings) for attribute in maker.attribute]
        dims = [None, max(counts, default=0) or None]
        value = helper.make_tensor_value_info(result, TensorProto.FLOAT, dims)
    needed, waiting = set[int](), [result]
    while waiting:
        at = makers.get(waiting.pop())
        if at is not None and at not in needed:
            needed.add(at)
            waiting += [*nodes[at].input]
    inner = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    # A graph inside an operator may read any value.
    if any(attribute.type in inner for node in nodes for attribute in node.attribute):
        needed = set(range(len(nodes)))
    del found.graph.node[:], found.graph.output[:]
    found.graph.node.extend(nodes[at] for at in sorted(needed))
    found.graph.output.append(value)
    return found
