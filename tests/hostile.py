"""Networks, images and regions made to break proofs, and referees that do not round: integers for the real network, and float32
evaluations in orders that a runtime might choose."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Dense, Layer
from relrob.domain.region import Ladder
from relrob.regions.exact import numerators
from relrob.regions.ladder import rung_set

SHAPE = (3, 4, 1)
FLAVOURS = ("normal", "integers", "powers", "faint", "huge", "twins", "cancelling", "dead")
_BITS = 149  # every finite float32 is a whole number of 2^-149
_NORMAL = np.float32(2.0**-126)
_LEVELS = np.array([0, 1, 63, 64, 127, 128, 191, 254, 255], np.uint8)
_FLOATS = np.array([0, -0.0, 2.0**-149, 2.0**-126, 1 / 3, 0.5, 0.5 + 2.0**-24, 0.25, 1 - 2.0**-24, 1], np.float32)


def _layer(rng: np.random.Generator, flavour: str, n_in: int, n_out: int) -> tuple[Doubles, Doubles]:
    """Weights and bias of one flavour, float64."""
    normal, bias = rng.standard_normal((n_in, n_out)), rng.standard_normal(n_out) * 0.3
    match flavour:
        case "integers":
            return rng.integers(-2, 3, (n_in, n_out)).astype(np.float64), rng.integers(-2, 3, n_out) / 2
        case "powers":
            exponents = rng.choice([-149, -140, -126, -60, -1, 0, 1, 30, 60], (n_in, n_out))
            return np.sign(normal) * 2.0**exponents, bias * 2.0 ** rng.choice([-140, 0, 30])
        case "faint":
            return normal * 2.0**-14, bias * 2.0**-16
        case "huge":
            return normal * 2.0 ** rng.choice([40, 100, 125]), bias
        case "twins":
            normal[:, 1:] = normal[:, :1] * (1 + rng.choice([0, 2.0**-23, -(2.0**-22)], (n_in, n_out - 1)))
            return normal, np.full(n_out, bias[0])
        case "cancelling":
            offset = rng.choice([1e4, -1e4, 3e7], n_out)
            return normal + np.where(np.arange(n_in) % 2, 1e4, -1e4)[:, None], offset
        case "dead":
            return np.where(rng.random((n_in, n_out)) < 0.5, 0, normal), np.where(rng.random(n_out) < 0.5, -100, 0.0)
    return normal, bias


def network(seed: int, softmax: bool = False) -> Dense:
    """A small MLP of 12 inputs, two or three classes, each layer of a flavour of its own."""
    rng = np.random.default_rng(seed)
    sizes = [12, *rng.integers(2, 7, rng.integers(0, 4)), int(rng.integers(2, 4))]
    layers = []
    for number in range(len(sizes) - 1):
        flavour = str(rng.choice(FLAVOURS))
        weights, bias = _layer(rng, flavour, int(sizes[number]), int(sizes[number + 1]))
        weights = np.clip(weights, -3e38, 3e38)
        layers.append(Layer(weights.astype(np.float32), bias.astype(np.float32), relu=number < len(sizes) - 2))
    return Dense(tuple(layers), softmax=softmax)


def image(seed: int) -> NDArray[Any]:
    """Pixels at the corners of the definitions: black, white, 1/2, 127 and 128 of 255, subnormal, one ulp off."""
    rng = np.random.default_rng(seed)
    pool: NDArray[Any] = _FLOATS if seed % 3 == 0 else _LEVELS
    return rng.choice(pool, SHAPE)


def ladder(seed: int, shown: NDArray[Any]) -> Ladder:
    """Four or five features whose radius is often met exactly by some of them, or missed by a hair."""
    rng = np.random.default_rng(seed)
    step = Fraction(str(rng.choice(["1", "1/2", "1/4", "1/3", "64/255", "1/1048576"])))
    features, axes = [(4, 3), (5, 2), (4, 2)][int(rng.integers(3))]
    costs = rung_set(Ladder(Fraction(100), step, features, axes), shown).costs
    one = numerators(shown, step, Fraction(100))[1]
    some = sum(cost for cost, taken in zip(costs, rng.random(features) < 0.6, strict=True) if taken) or costs[0]
    hair = int(rng.choice([0, 0, 1, -1])) * (some > 1)
    return Ladder(Fraction(some + hair, one), step, features, axes)


def exact_logits(dense: Dense, images: Floats) -> NDArray[Any]:
    """Logits (n, classes) of the network over the reals, as whole numbers of 2^-(149 (layers + 1)); no rounding anywhere."""
    values, bits = _whole(images), _BITS
    for layer in dense.layers:
        values = values @ _whole(layer.weights) + np.array([b << bits for b in _whole(layer.bias)], dtype=object)
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
    """One float32 evaluation (n, classes): a random order of summation, fused or not, subnormal numbers kept or flushed."""
    fused, flush = bool(rng.integers(2)), bool(rng.integers(2))

    def kept(values: NDArray[Any]) -> Floats:
        narrow = values.astype(np.float32)
        return np.where(np.abs(narrow) < _NORMAL, np.float32(0), narrow) if flush else narrow

    values = kept(images)
    with np.errstate(all="ignore"):
        for layer in dense.layers:
            weights, total = kept(layer.weights), np.zeros((len(values), len(layer.bias)), np.float32)
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
