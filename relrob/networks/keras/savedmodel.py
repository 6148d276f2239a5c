"""SavedModel directories, frozen to plain arithmetic, with every operator on a list before anything
is run. The import takes seconds (TensorFlow)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from relrob.domain.network import Dense
from relrob.errors import NetworkError, UnsupportedLayerError
from relrob.networks.batches import one_line
from relrob.networks.feed import Entry
from relrob.networks.keras.savedmodel_apart import treats_apart
from relrob.networks.keras.savedmodel_file import Signature, read_signature
from relrob.networks.operators import NotDenseError, OperatorChain
from relrob.networks.source import Source, refuse_output
from relrob.system.files import sha256_path
from relrob.system.quiet import quiet_native

_ARITHMETIC = {
    *(
        "Placeholder",
        "Const",
        "Identity",
        "IdentityN",
        "NoOp",
        "Reshape",
        "Squeeze",
        "ExpandDims",
        "Transpose",
        "Cast",
        "Pack",
    ),
    *(
        "Shape",
        "StridedSlice",
        "ConcatV2",
        "Pad",
        "PadV2",
        "Prod",
        "Range",
        "Fill",
        "GatherV2",
        "Slice",
        "Tile",
    ),
    *(
        "MatMul",
        "BatchMatMulV2",
        "Einsum",
        "BiasAdd",
        "Add",
        "AddV2",
        "Sub",
        "Mul",
        "RealDiv",
        "Square",
        "Sqrt",
        "Rsqrt",
    ),
    *(
        "Maximum",
        "Minimum",
        "Mean",
        "Sum",
        "Max",
        "Neg",
        "Exp",
        "Log",
        "Pow",
        "Erf",
        "SquaredDifference",
    ),
    *(
        "Relu",
        "Relu6",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Sigmoid",
        "Tanh",
        "Softplus",
        "Softmax",
        "LogSoftmax",
    ),
    *(
        "Conv2D",
        "DepthwiseConv2dNative",
        "MaxPool",
        "AvgPool",
        "FusedBatchNorm",
        "FusedBatchNormV3",
        "ResizeBilinear",
    ),
    *("PartitionedCall", "StatefulPartitionedCall", "ReadVariableOp"),
}
_CALL: Final = "call"


def read_savedmodel(path: str, output: str = "") -> Source:
    """The signature "serving_default" of the directory. Raises NetworkError, UnsupportedLayerError,
    ShapeError."""
    refuse_output(path, output)
    function = frozen(path)
    given, result = function.inputs[0], function.outputs[0]
    if not given.dtype.is_floating:
        raise NetworkError(f"{path} reads {given.dtype.name} pixels", "float pixels in [0, 1]")
    units = result.shape[-1] if result.shape.rank else None

    def dense(dims: tuple[int, ...], entry: Entry) -> tuple[Dense, bool]:
        return _build(function, dims, entry)

    classes = None if units is None else int(units)
    apart = treats_apart(function.graph)
    return Source(
        "savedmodel", _dims(given.shape), classes, sha256_path(Path(path)), dense, apart=apart
    )


def frozen(path: str) -> Any:
    """The signature as a function of one tensor whose variables are constants and whose operators
    are all arithmetic."""
    signature = read_signature(path)
    called = tuple(signature.reachable())
    for inner in called:
        _check_operators(path, inner.node_def, _ARITHMETIC)
    try:
        with quiet_native(), tf.device("/CPU:0"):
            function: Any = _function(signature, called)
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        tf.errors.OpError,
    ) as error:
        raise NetworkError(
            f"TensorFlow refuses {path}: {one_line(error)}", "a whole SavedModel", "export it again"
        ) from error
    graph = function.graph.as_graph_def()
    _check_operators(path, graph.node, _ARITHMETIC)
    for inner in graph.library.function:
        _check_operators(path, inner.node_def, _ARITHMETIC)
    return function


def _held(value: Any, constant: bool) -> Any:
    return tf.constant(value) if constant else tf.Variable(value, trainable=False)


def _function(signature: Signature, called: Iterable[Any]) -> Any:
    """A function of our own that calls the signature's, with variables of our own that are then
    made constants."""
    held = [
        _held(value, constant)
        for value, constant in zip(signature.captured, signature.constants, strict=True)
    ]
    graph = _graph(signature, called)

    def run(image: Any) -> Any:
        inside: Any = tf.compat.v1.get_default_graph()
        given = {"argument0": image}
        for number, value in enumerate(held, start=1):
            if isinstance(value, tf.Variable):
                inside.watch_variable(value)
            given[f"argument{number}"] = inside.capture(
                value.handle if isinstance(value, tf.Variable) else value
            )
        return tf.graph_util.import_graph_def(
            graph, input_map=given, return_elements=[f"{_CALL}:0"], name=""
        )[0]

    traced: Any = tf.function(run, input_signature=[signature.spec]).get_concrete_function()
    return convert_variables_to_constants_v2(traced)


def _graph(signature: Signature, called: Iterable[Any]) -> Any:
    """A graph of one call, and of the functions that it needs."""
    graph: Any = tf.compat.v1.GraphDef()
    arguments = signature.library[signature.function].signature
    for number, argument in enumerate(arguments.input_arg):
        node = graph.node.add(name=f"argument{number}", op="Placeholder")
        node.attr["dtype"].type = argument.type
    call = graph.node.add(name=_CALL, op="StatefulPartitionedCall")
    call.input.extend(f"argument{number}" for number in range(len(arguments.input_arg)))
    call.attr["Tin"].list.type.extend(argument.type for argument in arguments.input_arg)
    call.attr["Tout"].list.type.extend(argument.type for argument in arguments.output_arg)
    call.attr["f"].func.name = signature.function
    graph.library.function.extend(called)
    return graph


def _check_operators(path: str, nodes: Iterable[Any], allowed: set[str]) -> None:
    """Every operator is on the list."""
    for position, node in enumerate(nodes, start=1):
        if node.op not in allowed:
            raise UnsupportedLayerError(
                f"{path}: operator {position} {node.name!r} ({node.op})",
                "the arithmetic of MLPs and CNNs",
                "export it to ONNX",
            )


def _dims(shape: Any) -> tuple[int, ...] | None:
    """Dimensions with the batch, -1 where open."""
    return (
        None if shape.rank is None else tuple(-1 if n is None else int(n) for n in shape.as_list())
    )


def _build(function: Any, dims: tuple[int, ...], entry: Entry) -> tuple[Dense, bool]:
    """The MLP of a frozen function, and whether constants were folded."""
    graph = function.graph.as_graph_def()
    if function.inputs[0].dtype != tf.float32:
        raise NotDenseError(f"pixels of type {function.inputs[0].dtype.name}")
    chain, current = OperatorChain(dims, entry), function.inputs[0].op.name
    constants: dict[str, Any] = {}
    for node in graph.node:
        inputs = [name.split(":")[0] for name in node.input if not name.startswith("^")]
        if node.op == "Const":
            constants[node.name] = tf.make_ndarray(node.attr["value"].tensor)
        elif (
            known := _known(
                node, [constants.get(name) for name in inputs], inputs[:1] == [current], chain
            )
        ) is not None:
            constants[node.name] = known
        elif node.op not in ("Placeholder", "NoOp"):
            if inputs[:1] != [current] or not all(name in constants for name in inputs[1:]):
                raise NotDenseError(
                    f"{node.name} ({node.op}) does not read the value before it and constants alone"
                )
            _apply(chain, node, [constants[name] for name in inputs[1:]])
            current = node.name
    if current != function.outputs[0].op.name:
        raise NotDenseError("a graph with branches")
    return chain.finish(), chain.folded


def _known(node: Any, values: list[Any], of_current: bool, chain: OperatorChain) -> Any:
    """The value of a node that does not depend on the pixels, else None.

    It is a constant, or a shape, -1 for the batch, as Flatten computes it.
    """
    if node.op == "Shape" and of_current:
        return np.array([-1, *chain.shape])
    if not values or any(value is None for value in values):
        return None
    match node.op:
        case "Identity":
            return values[0]
        case "StridedSlice" if values[0].ndim == 1 and _masks(node) == [0, 0, 0, 0, 1]:
            return values[0][int(values[1][0])]
        case "Pack" if node.attr["axis"].i == 0:
            return np.array(values)
    return None


def _masks(node: Any) -> list[int]:
    """The masks of a slice, which say besides begin, end and stride that it takes one element."""
    names = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    return [int(node.attr[name].i) for name in names]


def _apply(chain: OperatorChain, node: Any, rest: list[Any]) -> None:
    """One operator."""
    if any(array.dtype.kind == "f" and array.dtype != np.float32 for array in rest):
        raise NotDenseError("weights that are not float32")
    match node.op:
        case "Identity":
            return
        case "MatMul" if not node.attr["transpose_a"].b:
            weights = rest[0].T if node.attr["transpose_b"].b else rest[0]
            chain.dense(weights, np.zeros(weights.shape[1], np.float32))
        case "BiasAdd" | "Add" | "AddV2" | "Sub" | "Mul" | "RealDiv":
            value = rest[0].astype(np.float64)
            if value.ndim == len(chain.shape) + 1 and len(value) == 1:
                # The constant is one for all images.
                value = value[0]
            if value.ndim > len(chain.shape):
                raise NotDenseError(f"{node.name} (a constant of {value.ndim} dimensions)")
            if node.op == "BiasAdd" and node.attr["data_format"].s not in (b"", b"NHWC"):
                raise NotDenseError(f"{node.name} (BiasAdd along another axis)")
            if node.op in ("Mul", "RealDiv"):
                if node.op == "RealDiv" and not value.all():
                    raise NotDenseError(f"{node.name} (a division by 0)")
                chain.affine(value if node.op == "Mul" else 1 / value)
            else:
                chain.affine(1.0, -value if node.op == "Sub" else value)
        case "Relu":
            chain.relu()
        case "Softmax":
            chain.softmax()
        case "Reshape" if (
            len(rest[0]) > 1 and rest[0][0] == -1 and np.prod(rest[0][1:]) == np.prod(chain.shape)
        ):
            chain.reshape(tuple(int(n) for n in rest[0][1:]))
        case "Transpose" if rest[0][0] == 0:
            chain.transpose(tuple(int(n) - 1 for n in rest[0][1:]))
        case _:
            raise NotDenseError(f"{node.name} ({node.op})")
