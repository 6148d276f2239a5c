"""Referees for hostile networks that do not round: integers for the real network, and float32
evaluations in orders that a runtime might choose. The networks, images and regions are those of
`relrob.testing.hostile`."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.domain.arrays import Floats, Ints
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.testing.hostile import FLAVOURS, SHAPE, image, ladder, network

__all__ = [
    "FLAVOURS",
    "ONE_POINT",
    "SHAPE",
    "WHITE",
    "Run",
    "exact_logits",
    "exact_margins",
    "float32_logits",
    "image",
    "ladder",
    "linear",
    "network",
    "said",
    "session",
    "write_onnx",
]

Run = Callable[[Floats], Floats]
WHITE = np.full(SHAPE, 255, np.uint8)
ONE_POINT = Ladder(Fraction(1, 100), Fraction(1), 1, 12)
_BITS = 149  # every finite float32 is a whole number of 2^-149
_NORMAL = np.float32(2.0**-126)


def exact_logits(dense: Dense, images: Floats) -> NDArray[Any]:
    """Logits (n, classes) of the network over the reals, as whole numbers of 2^-(149 (layers + 1));
    no rounding anywhere."""
    values, bits = _whole(images), _BITS
    for layer in dense.layers:
        values = values @ _whole(layer.weights) + np.array(
            [b << bits for b in _whole(layer.bias)], dtype=object
        )
        bits += _BITS
        values = np.maximum(values, 0) if layer.relu else values
    return values


def exact_margins(dense: Dense, images: Floats, label: int) -> list[Fraction]:
    """Real margins of `label`."""
    logits = exact_logits(dense, images)
    unit = 2 ** (_BITS * (len(dense.layers) + 1))
    return [Fraction(row[label] - max(np.delete(row, label)), unit) for row in logits]


def _whole(values: Floats) -> NDArray[Any]:
    """Multiples of 2^-149, as Python integers."""
    out = np.empty(values.shape, dtype=object)
    for place, value in np.ndenumerate(values):
        high, low = float(value).as_integer_ratio()
        out[place] = high * (2**_BITS // low)
    return out


def float32_logits(dense: Dense, images: Floats, rng: np.random.Generator) -> Floats:
    """One float32 evaluation (n, classes): a random order of summation, fused or not, subnormal
    numbers kept or flushed."""
    fused, flush = bool(rng.integers(2)), bool(rng.integers(2))

    def kept(values: NDArray[Any]) -> Floats:
        narrow = values.astype(np.float32)
        return np.where(np.abs(narrow) < _NORMAL, np.float32(0), narrow) if flush else narrow

    values = kept(images)
    with np.errstate(all="ignore"):
        for layer in dense.layers:
            weights, total = (
                kept(layer.weights),
                np.zeros((len(values), len(layer.bias)), np.float32),
            )
            for term in rng.permutation(len(weights) + 1):
                if term == len(weights):
                    total = kept(total + kept(layer.bias))
                    continue
                product = values[:, [term]].astype(np.float64) * weights[term].astype(np.float64)
                total = kept(total + product) if fused else kept(total + kept(product))
            values = np.maximum(total, np.float32(0)) if layer.relu else total
    return values


def write_onnx(dense: Dense, path: Path) -> Path:
    """MatMul, Add, Relu and, where the network has it, Softmax; written without the library."""
    nodes, held, value = [], [], "x"
    for number, layer in enumerate(dense.layers):
        held += [
            numpy_helper.from_array(layer.weights, f"w{number}"),
            numpy_helper.from_array(layer.bias, f"b{number}"),
        ]
        nodes.append(helper.make_node("MatMul", [value, f"w{number}"], [f"p{number}"]))
        nodes.append(helper.make_node("Add", [f"p{number}", f"b{number}"], [f"s{number}"]))
        value = f"s{number}"
        if layer.relu:
            nodes.append(helper.make_node("Relu", [value], [f"r{number}"]))
            value = f"r{number}"
    nodes.append(helper.make_node("Softmax" if dense.softmax else "Identity", [value], ["y"]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", size])
        for name, size in (("x", dense.inputs), ("y", dense.classes))
    ]
    graph = helper.make_graph(nodes, "hostile", ends[:1], ends[1:], held)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def session(path: Path) -> Run:
    """The file on onnxruntime, without the library."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    runtime = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(runtime.run(None, {"x": images})[0])


def said(outputs: Floats) -> Ints:
    """First maximum; -1 where a value is NaN."""
    return np.array(
        [-1 if np.isnan(row).any() else list(row).index(row.max()) for row in outputs], np.int64
    )


def linear(rows: list[list[float]], bias: list[float], softmax: bool = False) -> Dense:
    """One layer over the 12 pixels of a hostile image: `rows[k]` = the weights of pixel k + 1, the
    rest 0."""
    weights = np.zeros((12, len(bias)), np.float32)
    weights[1 : len(rows) + 1] = rows
    return Dense((Layer(weights, np.array(bias, np.float32), relu=False),), softmax)
