"""`.onnx` files: read and checked, with external data inside the model's folder only, and their
scheme told."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, TensorProto, external_data_helper, numpy_helper

from relrob.domain.network import Arithmetic, Dense
from relrob.errors import NetworkError, ShapeError
from relrob.networks.batches import one_line
from relrob.networks.feed import Entry
from relrob.networks.onnx.apart import treats_apart
from relrob.networks.onnx.dense import build
from relrob.networks.onnx.lengths import refuse_lengths
from relrob.networks.onnx.outputs import with_output
from relrob.networks.onnx.packed import rounds_by_number
from relrob.networks.onnx.random import refuse_random
from relrob.networks.source import Source
from relrob.system.files import sha256_bytes

_FLOATS = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.FLOAT16: "float16",
}
# Operators behind the last one that change no value, or only its grid.
_PASSING = (
    *("Identity", "Cast", "Reshape", "Flatten", "Squeeze", "Unsqueeze"),
    *("QuantizeLinear", "DequantizeLinear"),
)
# Operators whose one output is a logit.
_LAST = ("Gemm", "MatMul", "Add", "QGemm", "QLinearMatMul", "QLinearAdd", "MatMulIntegerToFloat")
_QDQ = {"QuantizeLinear", "DequantizeLinear", "QLinearMatMul", "QLinearConv", "QGemm", "QLinearAdd"}
_DYNAMIC = {
    "DynamicQuantizeLinear",
    "MatMulInteger",
    "ConvInteger",
    "DynamicQuantizeMatMul",
    "MatMulIntegerToFloat",
}
# Operators whose weights are stored in blocks of a few bits.
_BLOCKS = {"MatMulNBits", "MatMulBnb4", "GatherBlockQuantized"}
_HALVES = (TensorProto.FLOAT16, TensorProto.BFLOAT16)


def read_onnx(path: str, data: bytes, output: str = "") -> Source:
    """An ONNX classifier with one float input. `output`: the name of the output with the scores, ""
    for the only one that can hold them. Raises NetworkError, UnsupportedLayerError, ShapeError."""
    model = _parse(path, data)
    digest = _load_external(model, path, data)
    _check(model, path)
    given = _input(model.graph, path)
    refuse_random(model, path)
    refuse_lengths(model, path)
    model, chosen = with_output(model, path, output)
    scheme = _scheme(model)
    quantised = scheme != "float32"

    def dense(dims: tuple[int, ...], entry: Entry) -> tuple[Dense, bool]:
        return build(model, dims, quantised, entry)

    classes = _shape(model.graph.output[0])
    return Source(
        "onnx",
        _shape(given),
        classes[-1] if classes and classes[-1] > 0 else None,
        digest,
        dense,
        scheme,
        Arithmetic.INTEGER if quantised else Arithmetic.FLOAT32,
        apart=treats_apart(model),
        output=chosen,
        head=_head(model),
        by_number=partial(rounds_by_number, model),
    )


def _head(model: onnx.ModelProto) -> str:
    """The meaning of a single output: a probability behind a Sigmoid, else a logit behind operators
    that can end a classifier."""
    made = {output: node for node in model.graph.node for output in node.output}
    node = made.get(model.graph.output[0].name)
    while node is not None and node.op_type in _PASSING and node.input:
        node = made.get(node.input[0])
    kind = "" if node is None else node.op_type
    return "probability" if kind == "Sigmoid" else "logit" if kind in _LAST else ""


def digest_onnx(path: Path, data: bytes) -> str:
    """SHA-256 of the file, or of the file and its external data, in the order of their names."""
    return _load_external(_parse(str(path), data), str(path), data)


def _parse(path: str, data: bytes) -> onnx.ModelProto:
    """The protocol buffer."""
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError, MemoryError, RecursionError) as error:
        raise NetworkError(
            f"{path} is not a whole ONNX file: {one_line(error)}",
            "an ONNX model",
            "export it again",
        ) from error
    if not model.graph.node:
        raise NetworkError(f"{path} holds no operators", "an ONNX model", "export it again")
    return model


def _load_external(model: onnx.ModelProto, path: str, data: bytes) -> str:
    """Read the tensors that the model keeps in other files of its folder. Gives the digest of all
    files."""
    folder = Path(path).resolve().parent
    files: set[Path] = set()
    for tensor in _tensors(model):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "").replace("\0", "\\0")
        target = (folder / location).resolve()
        if (
            not location
            or "\\0" in location
            or Path(location).is_absolute()
            or not target.is_relative_to(folder)
        ):
            raise NetworkError(
                f"{path}: tensor {tensor.name!r} keeps its data in {location!r}, outside "
                "the model's folder",
                "files beside the model",
                "save the model with its data inside",
            )
        if not target.is_file():
            raise NetworkError(
                f"{path}: tensor {tensor.name!r} needs {location}, which is missing",
                "files beside the model",
            )
        files.add(target)
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except (
            OSError,
            ValueError,
            OverflowError,
            MemoryError,
            onnx.checker.ValidationError,
        ) as error:
            raise NetworkError(
                f"{path}: tensor {tensor.name!r} cannot be read from {location}: {one_line(error)}"
            ) from error
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    if not files:
        return sha256_bytes(data)
    parts = [sha256_bytes(data), *(sha256_bytes(file.read_bytes()) for file in sorted(files))]
    return sha256_bytes("".join(parts).encode())


def _check(model: onnx.ModelProto, path: str) -> None:
    """The format's own checker, and finite weights."""
    try:
        onnx.checker.check_model(model)
    except (
        onnx.checker.ValidationError,
        ValueError,
        TypeError,
        RuntimeError,
        MemoryError,
    ) as error:
        line = str(error).strip().splitlines()[0] if str(error).strip() else "no reason given"
        raise NetworkError(
            f"{path} fails the ONNX checker: {line}", "a valid ONNX model", "export it again"
        ) from error
    for tensor in model.graph.initializer:
        if (
            tensor.data_type in _FLOATS
            and tensor.dims
            and not np.isfinite(_array(tensor, path)).all()
        ):
            raise NetworkError(
                f"{path}: {tensor.name!r} has NaN or infinite weights",
                "finite values",
                "train or export again",
            )


def _array(tensor: TensorProto, path: str) -> Any:
    """The values of a tensor whose size fits its shape."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, MemoryError) as error:
        raise NetworkError(
            f"{path}: {tensor.name!r} has data that does not fit its shape", "a whole file"
        ) from error


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every constant of the model, in subgraphs and functions too."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _of_node(node)


def _of_graph(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _of_node(node)


def _of_node(node: onnx.NodeProto) -> Iterator[TensorProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR:
            yield attribute.t
        yield from attribute.tensors
        for graph in (
            *([attribute.g] if attribute.type == AttributeProto.GRAPH else []),
            *attribute.graphs,
        ):
            yield from _of_graph(graph)


def _input(graph: onnx.GraphProto, path: str) -> onnx.ValueInfoProto:
    """The one input that is not a weight."""
    held = {tensor.name for tensor in graph.initializer}
    inputs: list[onnx.ValueInfoProto] = [value for value in graph.input if value.name not in held]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ShapeError(f"{path} has {len(inputs)} inputs ({names})", "one input, an image")
    kind = inputs[0].type.tensor_type.elem_type
    if kind not in _FLOATS:
        name = {number: name.lower() for name, number in TensorProto.DataType.items()}.get(
            kind, f"number {kind}"
        )
        raise NetworkError(
            f"{path} reads values of type {name}",
            "float pixels in [0, 1]",
            "export with a float input",
        )
    return inputs[0]


def _shape(value: onnx.ValueInfoProto) -> tuple[int, ...] | None:
    """Dimensions with the batch, -1 where open; None when the file does not say."""
    if not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") else -1 for d in value.type.tensor_type.shape.dim
    )


def _scheme(model: onnx.ModelProto) -> str:
    """The scheme: "qdq" for QDQ and QOperator files, "dynamic" for quantisation at run time,
    "weight-only" for blocks of a few bits, "float16", else "float32"."""
    kinds = {node.op_type for node in model.graph.node}
    if kinds & _DYNAMIC:
        return "dynamic"
    if kinds & _QDQ or any(kind.startswith("QLinear") for kind in kinds):
        return "qdq"
    if kinds & _BLOCKS:
        return "weight-only"
    half = any(
        tensor.data_type in _HALVES and len(tensor.dims) > 1 for tensor in model.graph.initializer
    )
    return "float16" if half else "float32"
