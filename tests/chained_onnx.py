"""ONNX files of steps on constants around dense layers, and intervals that must contain the outputs
of onnxruntime on the same bytes."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper

from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.networks.enclosure import Enclosure, float32_enclosure
from relrob.networks.load import load_network
from tests.make_networks import onnx_bytes

SHAPE = (2, 2, 2)
INPUTS, CLASSES = 8, 3
LEVELS = (ort.GraphOptimizationLevel.ORT_ENABLE_ALL, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
CORNERS = np.array(list(product((0.0, 1.0), repeat=INPUTS)), np.float32)
ORDINARY, HOSTILE = (0.1, 4.0), (1e-6, 1e6)
Nodes = list[onnx.NodeProto]
Constants = dict[str, NDArray[Any]]


def spread(rng: np.random.Generator, size: int, ends: tuple[float, float]) -> Floats:
    """Numbers of either sign whose magnitudes are spread evenly over the powers between the
    ends."""
    sizes = np.exp(rng.uniform(np.log(ends[0]), np.log(ends[1]), size=size))
    return np.asarray(sizes * rng.choice([-1.0, 1.0], size), np.float32)


class Writer:
    """A random chain: steps on constants around dense layers."""

    def __init__(self, seed: int, ends: tuple[float, float]) -> None:
        self._rng, self._ends = np.random.default_rng(seed), ends
        self.nodes: Nodes = []
        self.constants: Constants = {}
        self._value = "x"
        self.width = INPUTS

    def add(self, kind: str, *constants: NDArray[Any], first: bool = True, **settings: Any) -> None:
        """A node of the value and constants."""
        names = [f"c{len(self.constants) + place}" for place in range(len(constants))]
        self.constants.update(zip(names, constants, strict=True))
        end = f"v{len(self.nodes)}"
        inputs = [self._value, *names] if first else [*names, self._value]
        self.nodes.append(helper.make_node(kind, inputs, [end], **settings))
        self._value = end

    def step(self) -> None:
        """Sub, Add, Mul, Div, or a batch normalisation; often one that the next undoes."""
        rng, kind = self._rng, int(self._rng.integers(7))
        size = self.width if rng.random() < 0.7 else 1
        if kind == 5:
            gamma, beta, mean = (spread(rng, self.width, self._ends) for _ in range(3))
            variance = np.abs(spread(rng, self.width, self._ends)) + np.float32(1e-5)
            self.add("BatchNormalization", gamma, beta, mean, variance, epsilon=1e-3)
        elif kind == 6:
            constant = spread(rng, size, self._ends)
            pair = ("Sub", "Add") if rng.random() < 0.5 else ("Mul", "Div")
            for name in pair:
                self.add(name, constant)
        else:
            self.add(
                ("Sub", "Add", "Mul", "Div", "Sub")[kind],
                spread(rng, size, self._ends),
                first=kind < 4,
            )

    def dense(self, outputs: int) -> None:
        """Gemm with any of its settings, or MatMul."""
        rng = self._rng
        weights = rng.normal(size=(self.width, outputs)).astype(np.float32)
        bias = rng.normal(size=outputs).astype(np.float32)
        if rng.random() < 0.3:
            self.add("MatMul", weights)
        else:
            turned = bool(rng.random() < 0.5)
            alpha, beta = (
                (1.0, 1.0) if rng.random() < 0.5 else (float(a) for a in spread(rng, 2, self._ends))
            )
            self.add(
                "Gemm",
                weights.T.copy() if turned else weights,
                bias,
                transB=int(turned),
                alpha=alpha,
                beta=beta,
            )
        self.width = outputs

    def finished(self) -> bytes:
        """The file."""
        self.nodes.append(helper.make_node("Identity", [self._value], ["y"]))
        return onnx_bytes(self.nodes, self.constants, ["n", INPUTS], CLASSES)


def chain(seed: int, ends: tuple[float, float]) -> bytes:
    """Two or three dense layers, ReLU between most of them, steps anywhere that a chain may have
    them."""
    rng, writer = np.random.default_rng(seed + 10**6), Writer(seed, ends)
    widths = [int(rng.integers(3, 8)) for _ in range(int(rng.integers(1, 3)))] + [CLASSES]
    for number, width in enumerate(widths):
        for _ in range(int(rng.integers(3))):
            writer.step()
        writer.dense(width)
        for _ in range(int(rng.integers(3))):
            writer.step()
        if number < len(widths) - 1 and rng.random() < 0.85:
            writer.add("Relu")
    return writer.finished()


def runs(data: bytes) -> list[Any]:
    """Sessions on the file itself, optimised and not."""
    found = []
    for level in LEVELS:
        options = ort.SessionOptions()
        options.graph_optimization_level = level
        options.intra_op_num_threads = 1
        found.append(ort.InferenceSession(data, options, providers=["CPUExecutionProvider"]))
    return found


def loaded(data: bytes, folder: Path) -> Network:
    path = folder / "n.onnx"
    path.write_bytes(data)
    return load_network(path, image_shape=SHAPE, classes=CLASSES)


def box(enclosure: Enclosure, low: Doubles, high: Doubles) -> tuple[Doubles, Doubles]:
    """Ends of the outputs over the box, by intervals of the enclosure and its errors."""
    for layer in enclosure.layers:
        error = layer.deviation(np.maximum(high, 0)).total(layer.size)
        up, down = np.maximum(layer.weights, 0), np.minimum(layer.weights, 0)
        below, above = low @ up + high @ down + layer.bias, high @ up + low @ down + layer.bias
        room = 1e-12 * (np.abs(high) @ layer.size + np.abs(layer.bias))
        low, high = below - error - room, above + error + room
        if layer.relu:
            low, high = np.maximum(low, 0), np.maximum(high, 0)
    return low, high


def surroundings(rng: np.random.Generator, count: int) -> list[tuple[Floats, Floats]]:
    """Boxes of pixels: single points, small ones and the whole cube."""
    found = [(np.zeros(INPUTS, np.float32), np.ones(INPUTS, np.float32))]
    for radius in (0.0, 1e-3, 0.2) * count:
        middle = rng.random(INPUTS, dtype=np.float32)
        found.append(
            (np.clip(middle - np.float32(radius), 0, 1), np.clip(middle + np.float32(radius), 0, 1))
        )
    return found


def inside(rng: np.random.Generator, low: Floats, high: Floats) -> Floats:
    """Corners of a box and points in it."""
    corners = np.where(CORNERS == 0, low, high)
    points = low + rng.random((64, INPUTS), dtype=np.float32) * (high - low)
    return np.concatenate([corners, np.clip(points, low, high)]).astype(np.float32)


def outside(data: bytes, network: Network, seed: int) -> float:
    """By how much an output of the runtime leaves its interval, at most, in units of the interval's
    error at a point."""
    assert network.dense is not None
    enclosure, rng, worst = float32_enclosure(network.dense), np.random.default_rng(seed), -np.inf
    for low, high in surroundings(rng, 2):
        least, most = box(enclosure, low.astype(np.float64), high.astype(np.float64))
        for run in runs(data):
            outputs = run.run(None, {"x": inside(rng, low, high)})[0].astype(np.float64)
            worst = max(worst, float((outputs - most).max()), float((least - outputs).max()))
    return worst
