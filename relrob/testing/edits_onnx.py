"""Edits of ONNX graphs: operators put between, types, shapes, several outputs, layers shared."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from onnx import TensorProto

from relrob.testing.files_onnx import OnnxDraft
from relrob.testing.values_onnx import (
    Edit,
    Rng,
    alpha,
    batch_norm,
    beta,
    bias_large,
    bias_moved,
    bias_shape,
    gemm,
    made_last,
    no_bias,
    normalised,
    pick,
    put,
    rounded_by_magic,
    scaled,
    there_and_back,
    turned,
    turned_input,
    width,
)


def dropout(made: OnnxDraft, rng: Rng) -> bool:
    """In inference, or in training mode."""
    value = pick(rng, made.values())
    if made.opset < 12:
        made.after(value, "Dropout", ratio=0.5)
        return True
    ratio = made.keep(np.float32(rng.choice([0.0, 0.3, 0.5])))
    training = (made.keep(bool(rng.random() < 0.6), np.bool_),) if rng.random() < 0.7 else ()
    made.after(value, "Dropout", (ratio, *training))
    return True


def clipped(made: OnnxDraft, rng: Rng) -> bool:
    """Clip instead of a Relu, or anywhere."""
    low, high = pick(
        rng, [(0.0, 6.0), (0.0, 3e38), (-1.0, 1.0), (0.0, 1.0), (-0.0, 0.3), (0.1, 1.0)]
    )
    relus = [node for node in made.nodes if node.op_type == "Relu"]
    if relus and rng.random() < 0.6:
        node = pick(rng, relus)
        node.op_type = "Clip"
    else:
        made.after(pick(rng, made.values()), "Clip")
        node = made.nodes[made_last(made)]
    if made.opset < 11:
        put(node, "min", low)
        put(node, "max", high)
    else:
        node.input.extend([made.keep(np.float32(low)), made.keep(np.float32(high))])
    return True


def activation(made: OnnxDraft, rng: Rng) -> bool:
    """Another activation instead of a Relu, or one more."""
    relus = [node for node in made.nodes if node.op_type == "Relu"]
    kind = str(
        rng.choice(
            [
                "LeakyRelu",
                "Elu",
                "Sigmoid",
                "Tanh",
                "HardSigmoid",
                "Abs",
                "Neg",
                "Floor",
                "Identity",
                "Relu",
            ]
        )
    )
    if relus and rng.random() < 0.5:
        pick(rng, relus).op_type = kind
    else:
        made.after(pick(rng, made.values()), kind)
    return True


def softmax(made: OnnxDraft, rng: Rng) -> bool:
    """A Softmax at the end, over some axis; also LogSoftmax, and over the batch."""
    axis = int(rng.choice([1, -1, 1, 0]))
    made.after(
        made.outputs[0],
        "Softmax" if rng.random() < 0.8 else "LogSoftmax",
        axis=axis if made.opset >= 11 else max(axis, 0),
    )
    return True


def reshaped(made: OnnxDraft, rng: Rng) -> bool:
    """Flatten, Reshape, Unsqueeze and Squeeze, Transpose twice."""
    value, kind = pick(rng, made.dense)[0].input[0], int(rng.integers(6))
    if kind == 0:
        made.after(value, "Flatten", axis=int(rng.choice([1, 1, -1])) if made.opset >= 11 else 1)
    elif kind == 1:
        target = (
            [-1, width(made)]
            if value == made.dense[0][0].input[0] and rng.random() < 0.5
            else [0, -1]
        )
        made.after(value, "Reshape", (made.keep(target, np.int64),))
    elif kind == 2:
        axes = [int(rng.choice([1, 2]))]
        up: dict[str, Any] = {} if made.opset >= 13 else {"axes": axes}
        extra = (made.keep(axes, np.int64),) if made.opset >= 13 else ()
        made.after(made.after(value, "Unsqueeze", extra, **up), "Squeeze", extra, **up)
    elif kind == 3:
        made.after(made.after(value, "Transpose", perm=[1, 0]), "Transpose", perm=[1, 0])
    elif kind == 4:
        made.after(value, "Flatten", axis=0)
    else:
        made.after(value, "Reshape", (made.keep([1, -1], np.int64),))
    return True


def pixels_turned(made: OnnxDraft, rng: Rng) -> bool:
    """A Transpose of the image before it is flattened."""
    if len(made.given) != 4:
        return False
    made.after("x", "Transpose", perm=[0, *(1 + rng.permutation(3)).tolist()])
    return True


def identities(made: OnnxDraft, rng: Rng) -> bool:
    """Identity."""
    made.after(pick(rng, made.values()), "Identity")
    return True


def cast(made: OnnxDraft, rng: Rng) -> bool:
    """To another type and back: whole numbers, halves, doubles."""
    kinds = [
        TensorProto.DOUBLE,
        TensorProto.FLOAT16,
        TensorProto.INT32,
        TensorProto.FLOAT,
        TensorProto.BOOL,
    ]
    value = made.after(pick(rng, made.values()), "Cast", to=pick(rng, kinds))
    made.after(value, "Cast", to=TensorProto.FLOAT)
    return True


def dead(made: OnnxDraft, rng: Rng) -> bool:
    """A node whose result nobody reads."""
    made.node("Sigmoid", [pick(rng, made.values())])
    return True


def two_outputs(made: OnnxDraft, rng: Rng) -> bool:
    """A hidden value is an output too, first or last."""
    hidden = made.nodes[int(rng.integers(len(made.nodes)))].output[0]
    made.outputs = [hidden, *made.outputs] if rng.random() < 0.5 else [*made.outputs, hidden]
    return len(set(made.outputs)) == 2


def quantised(made: OnnxDraft, rng: Rng) -> bool:
    """QuantizeLinear and DequantizeLinear on a value, or on weights."""
    if made.opset < 10:
        return False
    zero = int(rng.choice([0, 10, 128]))
    scale, point = (
        made.keep(np.float32(rng.choice([1 / 255, 1 / 16, 0.1, 0.5]))),
        made.keep(zero, np.uint8),
    )
    value = made.after(pick(rng, made.values()), "QuantizeLinear", (scale, point))
    made.after(value, "DequantizeLinear", (scale, point))
    return True


def quantised_weights(made: OnnxDraft, rng: Rng) -> bool:
    """Weights of 8 bits behind DequantizeLinear; sometimes with one scale for each column."""
    node, place, _ = pick(rng, made.dense)
    if made.opset < 10 or place not in made.held:
        return False
    weights = made.held[place]
    step = np.abs(weights).max() / 127 + 1e-9
    stored = made.keep(np.rint(weights / step), np.int8)
    if made.opset >= 13 and weights.shape[0] == weights.shape[1] and rng.random() < 0.5:
        scales = made.keep(np.full(len(weights), step) * rng.choice([1, 2], len(weights)))
        zeros = made.keep(np.zeros(len(weights)), np.int8)
        wide = made.node("DequantizeLinear", [stored, scales, zeros], 0, axis=int(rng.integers(2)))
    else:
        wide = made.node("DequantizeLinear", [stored, made.keep(step), made.keep(0, np.int8)], 0)
    node.input[1] = wide
    del made.held[place]
    return True


def batch_reduced(made: OnnxDraft, rng: Rng) -> bool:
    """The smallest, largest or mean value over the batch is added: an image's answer depends on its
    neighbours."""
    value = pick(rng, made.values())
    kind = str(rng.choice(["ReduceMin", "ReduceMax", "ReduceMean"]))
    at = min(
        (n for n, node in enumerate(made.nodes) if value in node.input), default=len(made.nodes)
    )
    if made.opset >= 18:
        low = made.node(kind, [value, made.keep([0], np.int64)], at, keepdims=1)
    else:
        low = made.node(kind, [value], at, keepdims=1, axes=[0])
    _instead(
        made, value, made.node(str(rng.choice(["Add", "Sub", "Max"])), [value, low], at + 1), at + 2
    )
    return True


def _instead(made: OnnxDraft, value: str, total: str, first: int) -> None:
    """Nodes from place `first` on, and the outputs, read `total` where they read `value`."""
    for node in made.nodes[first:]:
        renamed = [total if name == value else name for name in node.input]
        del node.input[:]
        node.input.extend(renamed)
    made.outputs = [total if name == value else name for name in made.outputs]


def listed(made: OnnxDraft, rng: Rng) -> bool:
    """Initializers are inputs as well."""
    made.listed = True
    return True


def as_nodes(made: OnnxDraft, rng: Rng) -> bool:
    """Constants are nodes."""
    made.as_nodes = True
    return True


def shared(made: OnnxDraft, rng: Rng) -> bool:
    """Two layers read the same weights."""
    found: dict[tuple[int, ...], str] = {}
    for at, (node, place, bias) in enumerate(made.dense):
        other = found.setdefault(made.held[place].shape, place) if place in made.held else place
        if other != place:
            node.input[1] = other
            made.dense[at] = (node, other, bias)
            return True
    return False


def relu_gone(made: OnnxDraft, rng: Rng) -> bool:
    """Two dense layers in a row."""
    relus = [node for node in made.nodes if node.op_type == "Relu"]
    if not relus:
        return False
    pick(rng, relus).op_type = "Identity"
    return True


def joined(made: OnnxDraft, rng: Rng) -> bool:
    """A value added to itself, or to the result of a constant and itself."""
    value = pick(rng, made.values())
    at = min(
        (n for n, node in enumerate(made.nodes) if value in node.input), default=len(made.nodes)
    )
    other = made.node("Mul", [value, made.keep(np.float32(rng.choice([0.5, -0.5, 1e7])))], at)
    _instead(made, value, made.node("Add", [value, other], at + 1), at + 2)
    return True


def foreign(made: OnnxDraft, rng: Rng) -> bool:
    """onnxruntime's own FusedGemm instead of a Gemm."""
    entry = gemm(made, rng)
    if entry is None:
        return False
    made.domains = [("com.microsoft", 1)]
    entry[0].op_type, entry[0].domain = "FusedGemm", "com.microsoft"
    put(entry[0], "activation", str(rng.choice(["Relu", "Tanh", "Sigmoid"])))
    return True


def constant_first(made: OnnxDraft, rng: Rng) -> bool:
    """A constant less the value, or over it; a pixel's maximum with a constant."""
    kind = str(rng.choice(["Sub", "Div", "Max", "Min", "Pow"]))
    kept = made.keep(np.float32(rng.choice([1.0, 2.0, 0.5])))
    made.after(pick(rng, made.values()), kind, (kept,), first=kind == "Pow")
    return True


EDITS: Final[dict[str, tuple[Edit, bool]]] = {
    "alpha": (alpha, True),
    "beta": (beta, True),
    "transB": (turned, True),
    "transA": (turned_input, False),
    "bias moved": (bias_moved, True),
    "bias large": (bias_large, False),
    "bias shape": (bias_shape, True),
    "no bias": (no_bias, True),
    "Sub and Add": (there_and_back, False),
    "rounded by magic": (rounded_by_magic, False),
    "Mul and Div": (scaled, False),
    "normalised": (normalised, False),
    "BatchNormalization": (batch_norm, False),
    "Dropout": (dropout, False),
    "Clip": (clipped, False),
    "activation": (activation, False),
    "Softmax": (softmax, False),
    "reshaped": (reshaped, False),
    "pixels transposed": (pixels_turned, False),
    "Identity": (identities, False),
    "Cast": (cast, False),
    "dead": (dead, False),
    "two outputs": (two_outputs, False),
    "QDQ": (quantised, False),
    "dequantised weights": (quantised_weights, False),
    "reduced over the batch": (batch_reduced, False),
    "initializers as inputs": (listed, False),
    "constants as nodes": (as_nodes, False),
    "shared": (shared, False),
    "no ReLU": (relu_gone, False),
    "joined": (joined, False),
    "foreign": (foreign, False),
    "constant first": (constant_first, False),
}
