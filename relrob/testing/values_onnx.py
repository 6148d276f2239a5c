"""Edits of the arithmetic of ONNX files: attributes, biases, constants between layers.

An edit returns True where it applied.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import helper

from relrob.testing.files_onnx import OnnxDraft

Rng = np.random.Generator
Edit = Callable[[OnnxDraft, Rng], bool]


def pick(rng: Rng, things: list[Any]) -> Any:
    return things[int(rng.integers(len(things)))] if things else None


def put(node: Any, name: str, value: Any) -> None:
    """An attribute, whether it was there or not."""
    for at, attribute in enumerate(list(node.attribute)):
        if attribute.name == name:
            del node.attribute[at]
            break
    node.attribute.append(helper.make_attribute(name, value))


def had(node: Any, name: str, default: Any) -> Any:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), default)


def gemm(made: OnnxDraft, rng: Rng) -> Any:
    return pick(rng, [entry for entry in made.dense if entry[0].op_type == "Gemm"])


def alpha(made: OnnxDraft, rng: Rng) -> bool:
    """The alpha of a Gemm changed."""
    entry = gemm(made, rng)
    if entry is not None:
        put(entry[0], "alpha", float(rng.choice([0.5, 2.0, 0.3, -1.0, 1.5, 1e-3, 1000.0])))
    return entry is not None


def beta(made: OnnxDraft, rng: Rng) -> bool:
    """The beta of a Gemm changed."""
    entry = gemm(made, rng)
    if entry is not None:
        put(entry[0], "beta", float(rng.choice([0.5, 2.0, 0.3, -1.0, 0.0, 1.5])))
    return entry is not None


def turned(made: OnnxDraft, rng: Rng) -> bool:
    """transB, with the weights turned or (where they are square) not."""
    entry = gemm(made, rng)
    if entry is None or entry[1] not in made.held:
        return False
    node, place, _ = entry
    put(node, "transB", 1 - had(node, "transB", 0))
    weights = made.held[place]
    if weights.shape[0] != weights.shape[1] or rng.random() < 0.5:
        made.held[place] = np.ascontiguousarray(weights.T)
    return True


def turned_input(made: OnnxDraft, rng: Rng) -> bool:
    """transA of a transposed value."""
    entry = gemm(made, rng)
    if entry is None:
        return False
    node = entry[0]
    at = made.nodes.index(node)
    node.input[0] = made.node("Transpose", [node.input[0]], at, perm=[1, 0])
    put(node, "transA", 1)
    return True


def bias_moved(made: OnnxDraft, rng: Rng) -> bool:
    """A little."""
    _, _, bias = pick(rng, made.dense)
    if not bias or bias not in made.held:
        return False
    made.held[bias] = (made.held[bias] + rng.uniform(-0.5, 0.5, made.held[bias].shape)).astype(
        np.float32
    )
    return True


def bias_large(made: OnnxDraft, rng: Rng) -> bool:
    """1e8 on one output, or all."""
    _, _, bias = pick(rng, made.dense)
    if not bias or bias not in made.held:
        return False
    values = made.held[bias].copy()
    values[... if rng.random() < 0.5 else int(rng.integers(len(values)))] += np.float32(
        rng.choice([1e8, -1e8, 3e7, 1e30])
    )
    made.held[bias] = values
    return True


def bias_shape(made: OnnxDraft, rng: Rng) -> bool:
    """(1, n), or one number for all."""
    _, _, bias = pick(rng, made.dense)
    if not bias or bias not in made.held or made.held[bias].ndim != 1:
        return False
    one = rng.random() < 0.4
    made.held[bias] = (
        made.held[bias][:1].reshape(() if rng.random() < 0.5 else (1,))
        if one
        else made.held[bias][None]
    )
    return True


def no_bias(made: OnnxDraft, rng: Rng) -> bool:
    """A Gemm of two inputs (opset 11)."""
    entry = gemm(made, rng)
    if entry is None or made.opset < 11 or not entry[2]:
        return False
    node, place, _ = entry
    del node.input[2:]
    made.dense[made.dense.index(entry)] = (node, place, "")
    return True


def there_and_back(made: OnnxDraft, rng: Rng) -> bool:
    """Sub and Add, or Add and Sub, of large constants: float32 rounds to their grid."""
    large = np.float32(
        rng.choice([1e8, 1.5 * 2**23, 2.0**16, 2.0**20, 3e4, 1e30]) * rng.choice([1, -1])
    )
    kept = made.keep(large if rng.random() < 0.5 else [large])
    kinds = ("Sub", "Add") if rng.random() < 0.5 else ("Add", "Sub")
    value = made.after(pick(rng, made.values()), kinds[0], (kept,))
    made.after(value, kinds[1], (kept,))
    return True


def rounded_by_magic(made: OnnxDraft, rng: Rng) -> bool:
    """Times 4, plus 1.5 * 2^23, less it again, over 4: rounds to quarters, or to the file's
    grid."""
    factor, magic = (
        made.keep(np.float32(rng.choice([4, 10, 255, 2]))),
        made.keep(np.float32(1.5 * 2**23)),
    )
    value = made.after(pick(rng, made.values()), "Mul", (factor,))
    value = made.after(value, "Add", (magic,))
    value = made.after(value, "Sub", (magic,))
    if rng.random() < 0.7:
        made.after(value, "Div", (factor,))
    return True


def scaled(made: OnnxDraft, rng: Rng) -> bool:
    """Mul or Div by one number or one for each value, sometimes back again."""
    wide = width(made)
    one = rng.random() < 0.5
    values = rng.choice([255.0, 1 / 255, 0.5, 3.0, 1e7, 1e-7, 0.1]) * (
        1 if one else rng.uniform(0.5, 2, wide)
    )
    kept = made.keep(values)
    kinds = ("Mul", "Div") if rng.random() < 0.5 else ("Div", "Mul")
    value = made.after(made.dense[0][0].input[0], kinds[0], (kept,))
    if rng.random() < 0.6:
        made.after(value, kinds[1], (kept,))
    return True


def width(made: OnnxDraft) -> int:
    """Values that the first dense layer reads."""
    return int(np.prod(made.given[1:]))


def normalised(made: OnnxDraft, rng: Rng) -> bool:
    """Sub of means and Div by deviations, some of which are 1e-7: pixels that never change."""
    wide = width(made)
    spread = rng.uniform(0.2, 0.5, wide)
    spread[rng.random(wide) < rng.choice([0, 0.2, 0.5])] = rng.choice([1e-7, 1e-4])
    mean = made.keep(rng.random(wide))
    value = made.after(made.dense[0][0].input[0], "Sub", (mean,))
    made.after(value, "Div", (made.keep(spread),))
    return True


def batch_norm(made: OnnxDraft, rng: Rng) -> bool:
    """Before the first dense layer, or after some; variances of 0 and large, in training or not."""
    if rng.random() < 0.5:
        at, wide = made.dense[0][0].input[0], width(made)
    else:
        node, place, _ = pick(rng, made.dense)
        if place not in made.held:
            return False
        at, wide = node.output[0], made.held[place].shape[0 if had(node, "transB", 0) else 1]
    variance = rng.uniform(0.1, 2, wide) * rng.choice([1, 1e-6, 1e6])
    variance[rng.random(wide) < 0.1] = 0
    held = [
        rng.uniform(0.5, 1.5, wide),
        rng.normal(0, 0.2, wide),
        rng.normal(0, 0.5, wide),
        variance,
    ]
    more: dict[str, Any] = {"epsilon": float(rng.choice([1e-5, 1e-3, 1e-12, 1.0]))}
    if made.opset >= 14 and rng.random() < 0.2:
        more["training_mode"] = 1
    made.after(at, "BatchNormalization", tuple(made.keep(each) for each in held), **more)
    if "training_mode" in more:
        made.nodes[made_last(made)].output.extend([made.name(), made.name()])
    return True


def made_last(made: OnnxDraft) -> int:
    """The place of the node made last."""
    last = f"v{made.made}"
    return next(at for at, node in enumerate(made.nodes) if last in node.output)
