"""An ONNX file as a typed graph whose every operator, attribute, version and type is on a list.

A file with anything else, even where it would do nothing, is a black box with a reason
(`NotDenseError`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from relrob.networks.operators import NotDenseError

Array = NDArray[Any]

# Of these versions the operators below were read one by one; the last are those of onnx 1.23.
OPSETS: Final = range(7, 29)
IR_VERSIONS: Final = range(3, 15)
DOMAINS: Final = ("", "ai.onnx")
_KEPT: Final = {TensorProto.FLOAT, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL}
_VALUES: Final = ("value_float", "value_floats", "value_int", "value_ints")


@dataclass(frozen=True)
class _Form:
    """The form of an operator in the opsets [`since`, `until`): its attributes, and how many inputs
    it takes."""

    since: int
    until: int
    attributes: frozenset[str]
    least: int
    most: int


def _form(
    attributes: str, least: int, most: int | None = None, since: int = 7, until: int = 99
) -> _Form:
    return _Form(
        since, until, frozenset(attributes.split()), least, least if most is None else most
    )


_FORMS: Final[dict[str, tuple[_Form, ...]]] = {
    **{kind: (_form("", 2),) for kind in ("Add", "Sub", "Mul", "Div", "MatMul")},
    **{kind: (_form("", 1),) for kind in ("Relu", "Sigmoid", "Identity", "Neg")},
    "Gemm": (_form("alpha beta transA transB", 2, 3),),
    "Softmax": (_form("axis", 1),),
    "Flatten": (_form("axis", 1),),
    "Reshape": (_form("", 2, until=14), _form("allowzero", 2, since=14)),
    "Transpose": (_form("perm", 1),),
    "Squeeze": (_form("axes", 1, until=13), _form("", 1, 2, since=13)),
    "Unsqueeze": (_form("axes", 1, until=13), _form("", 2, since=13)),
    "Cast": (
        _form("to", 1, until=19),
        _form("to saturate", 1, since=19, until=24),
        _form("to saturate round_mode", 1, since=24),
    ),
    "BatchNormalization": (
        _form("epsilon momentum spatial", 5, until=9),
        _form("epsilon momentum", 5, since=9, until=14),
        _form("epsilon momentum training_mode", 5, since=14),
    ),
    "Dropout": (_form("ratio", 1, until=12), _form("seed", 1, 3, since=12)),
    "Clip": (_form("min max", 1, until=11), _form("", 1, 3, since=11)),
}


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator: `inputs`, "" for one that is left out, its one output, its attributes. `label`:
    its place, for messages."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    settings: dict[str, Any]
    label: str


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph from one value, `given`, to another, `result`, both float32.

    `constants`: by name. `operators`: in the file's order, which is topological.
    """

    given: str
    rank: int
    result: str
    opset: int
    constants: dict[str, Array]
    operators: tuple[Operator, ...]


def graph_of(model: onnx.ModelProto) -> Graph:
    """The graph of a checked model. Raises NotDenseError for a graph that is not known to be
    modelled."""
    opset = _opset(model)
    graph = model.graph
    for what, found in (
        ("functions of its own", model.functions),
        ("sparse constants", graph.sparse_initializer),
        ("annotations of quantisation", graph.quantization_annotation),
        ("a graph of its training", model.training_info),
    ):
        if len(found):
            raise NotDenseError(what)
    constants = {
        tensor.name: _values(tensor) for tensor in graph.initializer if tensor.data_type in _KEPT
    }
    held = {tensor.name for tensor in graph.initializer}
    given = next(value for value in graph.input if value.name not in held)
    if (
        len(held) != len(graph.initializer)
        or graph.output[0].type.tensor_type.elem_type != TensorProto.FLOAT
    ):
        raise NotDenseError("a constant twice, or outputs that are not float32")
    if given.type.tensor_type.elem_type != TensorProto.FLOAT:
        raise NotDenseError("an input that is not a batch of float32 images")
    named, operators = {given.name, *held}, []
    for position, node in enumerate(graph.node, start=1):
        label = (
            f"node {position} "
            f"{(node.name or (node.output[0] if node.output else ''))!r} ({node.op_type})"
        )
        try:
            operator = _operator(node, opset, label)
            if operator.output in named:
                raise NotDenseError("a name that another value has")
            named.add(operator.output)
            if operator.kind == "Constant":
                constants[operator.output] = _constant(operator.settings)
            else:
                operators.append(operator)
        except NotDenseError as error:
            raise NotDenseError(f"{label}: {error}") from error
    rank = len(given.type.tensor_type.shape.dim)
    return Graph(given.name, rank, graph.output[0].name, opset, constants, tuple(operators))


def _opset(model: onnx.ModelProto) -> int:
    """The one version of ONNX's own operators."""
    versions = [each.version for each in model.opset_import if each.domain in DOMAINS]
    if len(versions) != 1 or versions[0] not in OPSETS:
        raise NotDenseError(f"operators of the versions {versions}")
    if model.ir_version not in IR_VERSIONS:
        raise NotDenseError(f"the format's version {model.ir_version}")
    return int(versions[0])


def _operator(node: onnx.NodeProto, opset: int, label: str) -> Operator:
    """The node, if all of it is on the list."""
    if node.domain not in DOMAINS or node.overload or len(node.device_configurations):
        raise NotDenseError(
            f"domain {node.domain}" if node.domain else "an overload, or a device of its own"
        )
    settings = {}
    for attribute in node.attribute:
        if (
            attribute.name in settings
            or attribute.ref_attr_name
            or attribute.type == AttributeProto.GRAPH
        ):
            raise NotDenseError(f"the attribute {attribute.name}")
        settings[attribute.name] = helper.get_attribute_value(attribute)
    if len(node.output) != 1 or not node.output[0]:
        raise NotDenseError(f"{len(node.output)} outputs")
    operator = Operator(node.op_type, tuple(node.input), node.output[0], settings, label)
    if operator.kind == "Constant":
        return operator
    forms = [form for form in _FORMS.get(operator.kind, ()) if form.since <= opset < form.until]
    if not forms:
        raise NotDenseError("not an operator that is modelled")
    unknown = set(settings) - forms[0].attributes
    if unknown:
        raise NotDenseError(f"the attribute {', '.join(sorted(unknown))}")
    if not forms[0].least <= len(operator.inputs) <= forms[0].most:
        raise NotDenseError(f"{len(operator.inputs)} inputs")
    return operator


def _constant(settings: dict[str, Any]) -> Array:
    """The value of a Constant. One that is written as numbers is float32 or int64."""
    if len(settings) == 1:
        name, value = next(iter(settings.items()))
        if name == "value" and value.data_type in _KEPT:
            return _values(value)
        if name in _VALUES:
            return np.asarray(value, np.float32 if "float" in name else np.int64)
    raise NotDenseError("a constant that is not float32, int64, int32 or bool")


def _values(tensor: TensorProto) -> Array:
    """A tensor's values. Raises NotDenseError when they do not fit its shape."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, MemoryError) as error:
        raise NotDenseError(
            f"a constant {tensor.name!r} whose data do not fit its shape"
        ) from error
