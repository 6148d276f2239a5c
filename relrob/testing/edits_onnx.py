"""Edits of ONNX files: attributes, constants, operators put between, types, versions. Each is True where it applied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from onnx import TensorProto, helper

from relrob.testing.files_onnx import OnnxDraft

Rng = np.random.Generator
Edit = Callable[[OnnxDraft, Rng], bool]


def _pick(rng: Rng, things: list[Any]) -> Any:
    return things[int(rng.integers(len(things)))] if things else None


def _set(node: Any, name: str, value: Any) -> None:
    """An attribute, whether it was there or not."""
    for at, attribute in enumerate(list(node.attribute)):
        if attribute.name == name:
            del node.attribute[at]
            break
    node.attribute.append(helper.make_attribute(name, value))


def _get(node: Any, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def _gemm(made: OnnxDraft, rng: Rng) -> Any:
    return _pick(rng, [entry for entry in made.dense if entry[0].op_type == "Gemm"])


def alpha(made: OnnxDraft, rng: Rng) -> bool:
    """Of a Gemm."""
    entry = _gemm(made, rng)
    if entry is not None:
        _set(entry[0], "alpha", float(rng.choice([0.5, 2.0, 0.3, -1.0, 1.5, 1e-3, 1000.0])))
    return entry is not None


def beta(made: OnnxDraft, rng: Rng) -> bool:
    """Of a Gemm."""
    entry = _gemm(made, rng)
    if entry is not None:
        _set(entry[0], "beta", float(rng.choice([0.5, 2.0, 0.3, -1.0, 0.0, 1.5])))
    return entry is not None


def turned(made: OnnxDraft, rng: Rng) -> bool:
    """transB, with the weights turned or (where they are square) not."""
    entry = _gemm(made, rng)
    if entry is None or entry[1] not in made.held:
        return False
    node, place, _ = entry
    _set(node, "transB", 1 - _get(node, "transB", 0))
    weights = made.held[place]
    if weights.shape[0] != weights.shape[1] or rng.random() < 0.5:
        made.held[place] = np.ascontiguousarray(weights.T)
    return True


def turned_input(made: OnnxDraft, rng: Rng) -> bool:
    """transA of a transposed value."""
    entry = _gemm(made, rng)
    if entry is None:
        return False
    node = entry[0]
    at = made.nodes.index(node)
    node.input[0] = made.node("Transpose", [node.input[0]], at, perm=[1, 0])
    _set(node, "transA", 1)
    return True


def bias_moved(made: OnnxDraft, rng: Rng) -> bool:
    """A little."""
    _, _, bias = _pick(rng, made.dense)
    if not bias or bias not in made.held:
        return False
    made.held[bias] = (made.held[bias] + rng.uniform(-0.5, 0.5, made.held[bias].shape)).astype(np.float32)
    return True


def bias_large(made: OnnxDraft, rng: Rng) -> bool:
    """1e8 on one output, or all."""
    _, _, bias = _pick(rng, made.dense)
    if not bias or bias not in made.held:
        return False
    values = made.held[bias].copy()
    values[... if rng.random() < 0.5 else int(rng.integers(len(values)))] += np.float32(rng.choice([1e8, -1e8, 3e7, 1e30]))
    made.held[bias] = values
    return True


def bias_shape(made: OnnxDraft, rng: Rng) -> bool:
    """(1, n), or one number for all."""
    _, _, bias = _pick(rng, made.dense)
    if not bias or bias not in made.held or made.held[bias].ndim != 1:
        return False
    one = rng.random() < 0.4
    made.held[bias] = made.held[bias][:1].reshape(() if rng.random() < 0.5 else (1,)) if one else made.held[bias][None]
    return True


def no_bias(made: OnnxDraft, rng: Rng) -> bool:
    """A Gemm of two inputs (opset 11)."""
    entry = _gemm(made, rng)
    if entry is None or made.opset < 11 or not entry[2]:
        return False
    node, place, _ = entry
    del node.input[2:]
    made.dense[made.dense.index(entry)] = (node, place, "")
    return True


def there_and_back(made: OnnxDraft, rng: Rng) -> bool:
    """Sub and Add, or Add and Sub, of large constants: float32 rounds to their grid."""
    large = np.float32(rng.choice([1e8, 1.5 * 2**23, 2.0**16, 2.0**20, 3e4, 1e30]) * rng.choice([1, -1]))
    kept = made.keep(large if rng.random() < 0.5 else [large])
    kinds = ("Sub", "Add") if rng.random() < 0.5 else ("Add", "Sub")
    value = made.after(_pick(rng, made.values()), kinds[0], (kept,))
    made.after(value, kinds[1], (kept,))
    return True


def rounded_by_magic(made: OnnxDraft, rng: Rng) -> bool:
    """Times 4, plus 1.5 * 2^23, less it again, over 4: rounds to quarters, or to the file's grid."""
    factor, magic = made.keep(np.float32(rng.choice([4, 10, 255, 2]))), made.keep(np.float32(1.5 * 2**23))
    value = made.after(_pick(rng, made.values()), "Mul", (factor,))
    value = made.after(value, "Add", (magic,))
    value = made.after(value, "Sub", (magic,))
    if rng.random() < 0.7:
        made.after(value, "Div", (factor,))
    return True


def scaled(made: OnnxDraft, rng: Rng) -> bool:
    """Mul or Div by one number or one for each value, sometimes back again."""
    width = _width(made)
    one = rng.random() < 0.5
    values = rng.choice([255.0, 1 / 255, 0.5, 3.0, 1e7, 1e-7, 0.1]) * (1 if one else rng.uniform(0.5, 2, width))
    kept = made.keep(values)
    kinds = ("Mul", "Div") if rng.random() < 0.5 else ("Div", "Mul")
    value = made.after(made.dense[0][0].input[0], kinds[0], (kept,))
    if rng.random() < 0.6:
        made.after(value, kinds[1], (kept,))
    return True


def _width(made: OnnxDraft) -> int:
    """Values that the first dense layer reads."""
    node, place, _ = made.dense[0]
    return int(made.held[place].shape[1 if _get(node, "transB", 0) else 0])


def normalised(made: OnnxDraft, rng: Rng) -> bool:
    """Sub of means and Div by deviations, some of which are 1e-7: pixels that never change."""
    width = _width(made)
    spread = rng.uniform(0.2, 0.5, width)
    spread[rng.random(width) < rng.choice([0, 0.2, 0.5])] = rng.choice([1e-7, 1e-4])
    mean = made.keep(rng.random(width))
    value = made.after(made.dense[0][0].input[0], "Sub", (mean,))
    made.after(value, "Div", (made.keep(spread),))
    return True


def batch_norm(made: OnnxDraft, rng: Rng) -> bool:
    """Before the first dense layer, or after some; variances of 0 and large, in training or not."""
    if rng.random() < 0.5:
        at, width = made.dense[0][0].input[0], _width(made)
    else:
        node, place, _ = _pick(rng, made.dense)
        if place not in made.held:
            return False
        at, width = node.output[0], made.held[place].shape[0 if _get(node, "transB", 0) else 1]
    variance = rng.uniform(0.1, 2, width) * rng.choice([1, 1e-6, 1e6])
    variance[rng.random(width) < 0.1] = 0
    held = [rng.uniform(0.5, 1.5, width), rng.normal(0, 0.2, width), rng.normal(0, 0.5, width), variance]
    more: dict[str, Any] = {"epsilon": float(rng.choice([1e-5, 1e-3, 1e-12, 1.0]))}
    if made.opset >= 14 and rng.random() < 0.2:
        more["training_mode"] = 1
    made.after(at, "BatchNormalization", tuple(made.keep(each) for each in held), **more)
    if "training_mode" in more:
        made.nodes[_made_last(made)].output.extend([made.name(), made.name()])
    return True


def _made_last(made: OnnxDraft) -> int:
    """The place of the node made last."""
    last = f"v{made.made}"
    return next(at for at, node in enumerate(made.nodes) if last in node.output)


def dropout(made: OnnxDraft, rng: Rng) -> bool:
    """In inference, or in training mode."""
    value = _pick(rng, made.values())
    if made.opset < 12:
        made.after(value, "Dropout", ratio=0.5)
        return True
    ratio = made.keep(np.float32(rng.choice([0.0, 0.3, 0.5])))
    training = (made.keep(bool(rng.random() < 0.6), np.bool_),) if rng.random() < 0.7 else ()
    made.after(value, "Dropout", (ratio, *training))
    return True


def clipped(made: OnnxDraft, rng: Rng) -> bool:
    """Clip instead of a Relu, or anywhere."""
    low, high = _pick(rng, [(0.0, 6.0), (0.0, 3e38), (-1.0, 1.0), (0.0, 1.0), (-0.0, 0.3), (0.1, 1.0)])
    relus = [node for node in made.nodes if node.op_type == "Relu"]
    if relus and rng.random() < 0.6:
        node = _pick(rng, relus)
        node.op_type = "Clip"
    else:
        made.after(_pick(rng, made.values()), "Clip")
        node = made.nodes[_made_last(made)]
    if made.opset < 11:
        _set(node, "min", low)
        _set(node, "max", high)
    else:
        node.input.extend([made.keep(np.float32(low)), made.keep(np.float32(high))])
    return True


def activation(made: OnnxDraft, rng: Rng) -> bool:
    """Another activation instead of a Relu, or one more."""
    relus = [node for node in made.nodes if node.op_type == "Relu"]
    kind = str(rng.choice(["LeakyRelu", "Elu", "Sigmoid", "Tanh", "HardSigmoid", "Abs", "Neg", "Floor", "Identity", "Relu"]))
    if relus and rng.random() < 0.5:
        _pick(rng, relus).op_type = kind
    else:
        made.after(_pick(rng, made.values()), kind)
    return True


def softmax(made: OnnxDraft, rng: Rng) -> bool:
    """At the end, over some axis; also LogSoftmax, and over the batch."""
    axis = int(rng.choice([1, -1, 1, 0]))
    made.after(made.outputs[0], "Softmax" if rng.random() < 0.8 else "LogSoftmax", axis=axis if made.opset >= 11 else max(axis, 0))
    return True


def reshaped(made: OnnxDraft, rng: Rng) -> bool:
    """Flatten, Reshape, Unsqueeze and Squeeze, Transpose twice."""
    value, kind = _pick(rng, made.dense)[0].input[0], int(rng.integers(6))
    if kind == 0:
        made.after(value, "Flatten", axis=int(rng.choice([1, 1, -1])) if made.opset >= 11 else 1)
    elif kind == 1:
        target = [-1, _width(made)] if value == made.dense[0][0].input[0] and rng.random() < 0.5 else [0, -1]
        made.after(value, "Reshape", (made.keep(target, np.int64),))
    elif kind == 2:
        axes = [int(rng.choice([1, 2]))]
        up = {} if made.opset >= 13 else {"axes": axes}
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
    made.after(_pick(rng, made.values()), "Identity")
    return True


def cast(made: OnnxDraft, rng: Rng) -> bool:
    """To another type and back: whole numbers, halves, doubles."""
    kinds = [TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT32, TensorProto.FLOAT, TensorProto.BOOL]
    value = made.after(_pick(rng, made.values()), "Cast", to=_pick(rng, kinds))
    made.after(value, "Cast", to=TensorProto.FLOAT)
    return True


def dead(made: OnnxDraft, rng: Rng) -> bool:
    """A node whose result nobody reads."""
    made.node("Sigmoid", [_pick(rng, made.values())])
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
    scale, point = made.keep(np.float32(rng.choice([1 / 255, 1 / 16, 0.1, 0.5]))), made.keep(zero, np.uint8)
    value = made.after(_pick(rng, made.values()), "QuantizeLinear", (scale, point))
    made.after(value, "DequantizeLinear", (scale, point))
    return True


def quantised_weights(made: OnnxDraft, rng: Rng) -> bool:
    """Weights of 8 bits behind DequantizeLinear; sometimes with one scale for each column."""
    node, place, _ = _pick(rng, made.dense)
    if made.opset < 10 or place not in made.held:
        return False
    weights = made.held[place]
    step = np.abs(weights).max() / 127 + 1e-9
    stored = made.keep(np.rint(weights / step), np.int8)
    if made.opset >= 13 and weights.shape[0] == weights.shape[1] and rng.random() < 0.5:
        scale, zero = made.keep(np.full(len(weights), step) * rng.choice([1, 2], len(weights))), made.keep(np.zeros(len(weights)), np.int8)
        wide = made.node("DequantizeLinear", [stored, scale, zero], 0, axis=int(rng.integers(2)))
    else:
        wide = made.node("DequantizeLinear", [stored, made.keep(step), made.keep(0, np.int8)], 0)
    node.input[1] = wide
    del made.held[place]
    return True


def batch_reduced(made: OnnxDraft, rng: Rng) -> bool:
    """The smallest, largest or mean value over the batch is added: an image's answer depends on its neighbours."""
    value = _pick(rng, made.values())
    kind = str(rng.choice(["ReduceMin", "ReduceMax", "ReduceMean"]))
    at = min((n for n, node in enumerate(made.nodes) if value in node.input), default=len(made.nodes))
    modern = made.opset >= 18
    low = made.node(kind, [value, made.keep([0], np.int64)] if modern else [value], at, keepdims=1, **({} if modern else {"axes": [0]}))
    total = made.node(str(rng.choice(["Add", "Sub", "Max"])), [value, low], at + 1)
    for node in made.nodes[at + 2 :]:
        renamed = [total if name == value else name for name in node.input]
        del node.input[:]
        node.input.extend(renamed)
    made.outputs = [total if name == value else name for name in made.outputs]
    return True


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
    _pick(rng, relus).op_type = "Identity"
    return True


def joined(made: OnnxDraft, rng: Rng) -> bool:
    """A value added to itself, or to what a constant makes of it."""
    value = _pick(rng, made.values())
    at = min((n for n, node in enumerate(made.nodes) if value in node.input), default=len(made.nodes))
    other = made.node("Mul", [value, made.keep(np.float32(rng.choice([0.5, -0.5, 1e7])))], at)
    total = made.node("Add", [value, other], at + 1)
    for node in made.nodes[at + 2 :]:
        renamed = [total if name == value else name for name in node.input]
        del node.input[:]
        node.input.extend(renamed)
    made.outputs = [total if name == value else name for name in made.outputs]
    return True


def foreign(made: OnnxDraft, rng: Rng) -> bool:
    """onnxruntime's own FusedGemm instead of a Gemm."""
    entry = _gemm(made, rng)
    if entry is None:
        return False
    made.domains = [("com.microsoft", 1)]
    entry[0].op_type, entry[0].domain = "FusedGemm", "com.microsoft"
    _set(entry[0], "activation", str(rng.choice(["Relu", "Tanh", "Sigmoid"])))
    return True


def constant_first(made: OnnxDraft, rng: Rng) -> bool:
    """A constant less the value, or over it; a pixel's maximum with a constant."""
    kind = str(rng.choice(["Sub", "Div", "Max", "Min", "Pow"]))
    kept = made.keep(np.float32(rng.choice([1.0, 2.0, 0.5])))
    made.after(_pick(rng, made.values()), kind, (kept,), first=kind == "Pow")
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
