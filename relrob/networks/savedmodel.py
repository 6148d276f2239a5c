"""SavedModel directories: frozen to plain arithmetic, every operator on a list, before anything of them is run.

Importing this module takes seconds (TensorFlow).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from relrob.domain.network import Dense
from relrob.errors import NetworkError, ShapeError, UnsupportedLayerError
from relrob.files import sha256_path
from relrob.networks.batches import one_line
from relrob.networks.chain import Chain, NotDenseError
from relrob.networks.source import Source
from relrob.quiet import quiet_native

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
    *("Shape", "StridedSlice", "ConcatV2", "Pad", "PadV2", "Prod", "Range", "Fill", "GatherV2", "Slice", "Tile"),
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
    *("Maximum", "Minimum", "Mean", "Sum", "Max", "Neg", "Exp", "Log", "Pow", "Erf", "SquaredDifference"),
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Sigmoid", "Tanh", "Softplus", "Softmax", "LogSoftmax"),
    *("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "FusedBatchNorm", "FusedBatchNormV3", "ResizeBilinear"),
    *("PartitionedCall", "StatefulPartitionedCall", "ReadVariableOp", "VarHandleOp"),
}
# What TensorFlow writes beside them to save and restore variables; nothing here ever calls it.
_SAVERS = {
    *("SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "StringJoin", "StaticRegexFullMatch", "Select"),
    *("AssignVariableOp", "VarIsInitializedOp", "DisableCopyOnRead"),
}
_OBJECTS = {"user_object", "function", "bare_concrete_function", "variable", "constant", "captured_tensor", None}


def read_savedmodel(path: str) -> Source:
    """The signature "serving_default" of the directory. Raises NetworkError, UnsupportedLayerError, ShapeError."""
    function = frozen(path)
    given, result = function.inputs[0], function.outputs[0]
    if not given.dtype.is_floating:
        raise NetworkError(f"{path} reads {given.dtype.name} pixels", "float pixels in [0, 1]")
    units = result.shape[-1] if result.shape.rank else None

    def dense(dims: tuple[int, ...]) -> tuple[Dense, bool]:
        return _build(function, dims)

    return Source(
        "savedmodel", _dims(given.shape), None if units is None else int(units), sha256_path(Path(path)), dense
    )


def frozen(path: str) -> Any:
    """The signature as a function of one tensor whose variables are constants and whose operators are all arithmetic."""
    _check_file(path)
    try:
        with quiet_native():
            loaded: Any = tf.saved_model.load(path)  # it owns the variables until they are frozen
            signatures = loaded.signatures
            if "serving_default" not in signatures:
                raise NetworkError(
                    f"{path} has the signatures {sorted(signatures)}", "serving_default", "model.export(...)"
                )
            function: Any = convert_variables_to_constants_v2(signatures["serving_default"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, tf.errors.OpError) as error:
        raise NetworkError(
            f"TensorFlow refuses {path}: {one_line(error)}", "a whole SavedModel", "export it again"
        ) from error
    if (len(function.inputs), len(function.outputs)) != (1, 1):
        ends = f"{len(function.inputs)} inputs and {len(function.outputs)} outputs"
        raise ShapeError(f"{path} has {ends}", "one image in, one score a class out")
    graph = function.graph.as_graph_def()
    _check_operators(path, graph.node, _ARITHMETIC)
    for inner in graph.library.function:
        _check_operators(path, inner.node_def, _ARITHMETIC)
    return function


def _check_file(path: str) -> None:
    """Before TensorFlow loads it: no foreign operators, and no objects whose loading would run any."""
    model: Any = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((Path(path) / "saved_model.pb").read_bytes())
    except (DecodeError, OSError) as error:
        raise NetworkError(
            f"{path} has no readable saved_model.pb: {error}", "a whole SavedModel", "export it again"
        ) from error
    if not model.meta_graphs or not all(meta.HasField("object_graph_def") for meta in model.meta_graphs):
        raise NetworkError(
            f"{path} is not a SavedModel of TensorFlow 2", "one that model.export(...) wrote", "export it again"
        )
    for meta in model.meta_graphs:
        for node in meta.object_graph_def.nodes:
            if node.WhichOneof("kind") not in _OBJECTS:
                raise UnsupportedLayerError(
                    f"{path} holds a {node.WhichOneof('kind')}", "variables and functions alone"
                )
        _check_operators(path, meta.graph_def.node, _ARITHMETIC | _SAVERS)
        for function in meta.graph_def.library.function:
            _check_operators(path, function.node_def, _ARITHMETIC | _SAVERS)


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
    return None if shape.rank is None else tuple(-1 if n is None else int(n) for n in shape.as_list())


def _build(function: Any, dims: tuple[int, ...]) -> tuple[Dense, bool]:
    """The MLP of a frozen function, and whether constants were folded."""
    graph = function.graph.as_graph_def()
    chain, current = Chain(dims), function.inputs[0].op.name
    constants: dict[str, Any] = {}
    for node in graph.node:
        inputs = [name.split(":")[0] for name in node.input if not name.startswith("^")]
        if node.op == "Const":
            constants[node.name] = tf.make_ndarray(node.attr["value"].tensor)
        elif (
            known := _known(node, [constants.get(name) for name in inputs], inputs[:1] == [current], chain)
        ) is not None:
            constants[node.name] = known
        elif node.op not in ("Placeholder", "NoOp"):
            if inputs[:1] != [current] or not all(name in constants for name in inputs[1:]):
                raise NotDenseError(f"{node.name} ({node.op}) does not read the value before it and constants alone")
            _apply(chain, node, [constants[name] for name in inputs[1:]])
            current = node.name
    if current != function.outputs[0].op.name:
        raise NotDenseError("a graph with branches")
    return chain.finish(), chain.folded


def _known(node: Any, values: list[Any], of_current: bool, chain: Chain) -> Any:
    """What does not depend on the pixels: a constant, or a shape (-1 for the batch) as Flatten computes it; else None."""
    if node.op == "Shape" and of_current:
        return np.array([-1, *chain.shape])
    if not values or any(value is None for value in values):
        return None
    match node.op:
        case "Identity":
            return values[0]
        case "StridedSlice" if node.attr["shrink_axis_mask"].i == 1 and values[0].ndim == 1:
            return values[0][int(values[1][0])]
        case "Pack":
            return np.array(values)
    return None


def _apply(chain: Chain, node: Any, rest: list[Any]) -> None:
    """One operator."""
    if any(array.dtype.kind == "f" and array.dtype != np.float32 for array in rest):
        raise NotDenseError("weights that are not float32")
    match node.op:
        case "Identity":
            return
        case "MatMul" if not node.attr["transpose_a"].b:
            weights = rest[0].T if node.attr["transpose_b"].b else rest[0]
            chain.dense(weights, np.zeros(weights.shape[1], np.float32))
        case "BiasAdd" | "Add" | "AddV2" | "Sub" | "Mul" | "RealDiv" if rest[0].ndim <= len(chain.shape):
            value = rest[0].astype(np.float64)
            if node.op in ("Mul", "RealDiv"):
                chain.affine(value if node.op == "Mul" else 1 / value)
            else:
                chain.affine(1.0, -value if node.op == "Sub" else value)
        case "Relu":
            chain.relu()
        case "Softmax":
            chain.softmax()
        case "Reshape" if len(rest[0]) > 1 and rest[0][0] == -1 and np.prod(rest[0][1:]) == np.prod(chain.shape):
            chain.reshape(tuple(int(n) for n in rest[0][1:]))
        case "Transpose" if rest[0][0] == 0:
            chain.transpose(tuple(int(n) - 1 for n in rest[0][1:]))
        case _:
            raise NotDenseError(f"{node.name} ({node.op})")
