"""The contents of a SavedModel directory, read without running any of it: a signature's functions
and the values they capture.

`tf.saved_model.load` runs the functions with which objects restore themselves, whatever these do.
This module reads the protocol buffer and the bundle of variables instead. Its import takes seconds
(TensorFlow).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from tensorflow.core.protobuf import saved_model_pb2, trackable_object_graph_pb2

from relrob.errors import NetworkError, ShapeError, UnsupportedLayerError
from relrob.networks.batches import one_line

_OBJECTS: Final = {
    "user_object",
    "function",
    "bare_concrete_function",
    "variable",
    "constant",
    "captured_tensor",
    None,
}
_SIGNATURE: Final = "serving_default"
_AGAIN: Final = "export it again"


@dataclass(frozen=True, eq=False)
class Signature:
    """`function`: the name of the signature's function in `library` (name -> FunctionDef), which
    takes an image of `spec` and then the values of `captured`, arrays of `constants` where they are
    no variables."""

    function: str
    library: dict[str, Any]
    spec: tf.TensorSpec
    captured: tuple[NDArray[Any], ...]
    constants: tuple[bool, ...]

    def reachable(self) -> Iterator[Any]:
        """The function, and those that it calls."""
        waiting, seen = [self.function], {self.function}
        while waiting:
            here = self.library[waiting.pop()]
            yield here
            found = {name for node in here.node_def for name in _called(node)} - seen
            seen |= found
            waiting += sorted(found)


def read_signature(path: str) -> Signature:
    """The signature "serving_default". Raises NetworkError, UnsupportedLayerError, ShapeError."""
    try:
        meta = _meta(path)
        nodes = meta.object_graph_def.nodes
        library = {
            function.signature.name: function for function in meta.graph_def.library.function
        }
        name = _function_name(path, nodes)
        concrete = meta.object_graph_def.concrete_functions[name]
        bound = list(concrete.bound_inputs)
        given = concrete.canonicalized_input_signature.tuple_value.values[1].dict_value.fields
        function = library[name]
        inputs, outputs = (
            len(function.signature.input_arg) - len(bound),
            len(function.signature.output_arg),
        )
        if (inputs, outputs, len(given)) != (1, 1, 1):
            raise ShapeError(
                f"{path} has {inputs} inputs and {outputs} outputs",
                "one image in, one score a class out",
            )
        image = next(iter(given.values())).tensor_spec_value
        spec = tf.TensorSpec(tf.TensorShape(image.shape), tf.dtypes.as_dtype(image.dtype))
        constants = tuple(nodes[number].WhichOneof("kind") == "constant" for number in bound)
        signature = Signature(name, library, spec, tuple(_values(path, meta, bound)), constants)
        tuple(signature.reachable())
    except (
        OSError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        tf.errors.OpError,
    ) as error:
        raise NetworkError(
            f"TensorFlow refuses {path}: {one_line(error)}", "a whole SavedModel", _AGAIN
        ) from error
    except (RuntimeError, StopIteration, MemoryError, OverflowError, DecodeError) as error:
        raise NetworkError(
            f"TensorFlow refuses {path}: {one_line(error)}", "a whole SavedModel", _AGAIN
        ) from error
    return signature


def _meta(path: str) -> Any:
    """The one graph of the directory; no objects that would run anything when TensorFlow loads
    them."""
    model: Any = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((Path(path) / "saved_model.pb").read_bytes())
    except (DecodeError, OSError) as error:
        raise NetworkError(
            f"{path} has no readable saved_model.pb: {error}", "a whole SavedModel", _AGAIN
        ) from error
    if len(model.meta_graphs) != 1 or not model.meta_graphs[0].HasField("object_graph_def"):
        raise NetworkError(
            f"{path} is not a SavedModel of TensorFlow 2",
            "one that model.export(...) wrote",
            _AGAIN,
        )
    for node in model.meta_graphs[0].object_graph_def.nodes:
        kind = node.WhichOneof("kind")
        if kind not in _OBJECTS:
            raise UnsupportedLayerError(f"{path} holds a {kind}", "variables and functions alone")
        if node.saveable_objects or node.registered_saver:
            raise UnsupportedLayerError(
                f"{path} holds an object that restores itself by functions of its own",
                "variables",
                "model.export(...)",
            )
    return model.meta_graphs[0]


def _function_name(path: str, nodes: Any) -> str:
    """The function behind the signature, by way of the root's child "signatures"."""
    top = {child.local_name: child.node_id for child in nodes[0].children}
    found = (
        {child.local_name: child.node_id for child in nodes[top["signatures"]].children}
        if "signatures" in top
        else {}
    )
    if _SIGNATURE not in found:
        raise NetworkError(
            f"{path} has the signatures {sorted(found)}", _SIGNATURE, "model.export(...)"
        )
    return str(nodes[found[_SIGNATURE]].bare_concrete_function.concrete_function_name)


def _called(node: Any) -> set[str]:
    """The functions that an operator names in its attributes."""
    names = {value.func.name for value in node.attr.values() if value.HasField("func")}
    return names | {
        one.name
        for value in node.attr.values()
        if value.HasField("list")
        for one in value.list.func
    }


def _values(path: str, meta: Any, bound: Iterable[int]) -> Iterator[NDArray[Any]]:
    """The arrays that the objects of these numbers stand for."""
    nodes = meta.object_graph_def.nodes
    keys = _Bundle(path, nodes)
    for number in bound:
        match nodes[number].WhichOneof("kind"):
            case "variable":
                yield keys.value(number)
            case "constant":
                wanted = nodes[number].constant.operation
                operation = next(
                    node
                    for node in meta.graph_def.node
                    if node.name == wanted and node.op == "Const"
                )
                yield tf.make_ndarray(operation.attr["value"].tensor)
            case kind:
                raise UnsupportedLayerError(f"{path} captures a {kind}", "variables and constants")


class _Bundle:
    """The variables' values, found as TensorFlow restores them: by the names of children, from the
    root on."""

    def __init__(self, path: str, nodes: Any) -> None:
        self._path, self._nodes = path, nodes
        self._places: dict[int, int] = {}
        prefix = Path(path) / "variables" / "variables"
        if not prefix.with_suffix(".index").is_file():
            return
        self._reader: Any = tf.train.load_checkpoint(str(prefix))
        self._graph: Any = trackable_object_graph_pb2.TrackableObjectGraph()
        self._graph.ParseFromString(self._reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
        waiting = [(0, 0)]
        while waiting:
            here, there = waiting.pop()
            if self._places.setdefault(here, there) != there:
                raise NetworkError(
                    f"{path}: its variables have two values", "a whole SavedModel", _AGAIN
                )
            saved = {child.local_name: child.node_id for child in self._graph.nodes[there].children}
            for child in nodes[here].children:
                inner = saved.get(child.local_name)
                if inner is not None and self._places.get(child.node_id) != inner:
                    waiting.append((child.node_id, inner))

    def value(self, number: int) -> NDArray[Any]:
        """The value of the variable with this number, of the shape and type that the model gives
        it."""
        variable = self._nodes[number].variable
        place = self._places.get(number)
        attributes = [] if place is None else self._graph.nodes[place].attributes
        key = next((one.checkpoint_key for one in attributes if one.name == "VARIABLE_VALUE"), None)
        held = self._reader.get_variable_to_shape_map() if key is not None else {}
        shape, kind = tf.TensorShape(variable.shape).as_list(), tf.dtypes.as_dtype(variable.dtype)
        if (
            key not in held
            or held[key] != shape
            or self._reader.get_variable_to_dtype_map()[key] != kind
        ):
            raise NetworkError(
                f"{self._path} has no values for the variable {variable.name!r} {shape}",
                hint=_AGAIN,
            )
        return np.asarray(self._reader.get_tensor(key))
