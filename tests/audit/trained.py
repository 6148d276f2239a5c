"""Small pairs whose networks know something: seeded images of ten classes in colour, MLPs that
NumPy trains on them, and their files; faults are planted in the weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.domain.arrays import Ints
from relrob.domain.contract import InputContract, exactly
from relrob.domain.network import Dense, Layer, Network
from relrob.networks.load import load_network
from relrob_datasets.dataset import Dataset
from relrob_datasets.read_as import Reading
from tests.make_kernels import Full, Kind, Step, write
from tests.make_networks import write_onnx

Array = NDArray[Any]
SHAPE = (6, 6, 3)
WIDTH, HIDDEN, CLASSES = 108, 24, 10
TINT = np.array([0.8, 1.0, 0.5])


@cache
def images(count: int = 1200, seed: int = 5) -> tuple[Array, Ints]:
    """Images (n, 6, 6, 3) of levels and their labels: a pattern a class, dark in blue, under noise
    that leaves some of them unclear."""
    patterns = np.random.default_rng(1).random((CLASSES, *SHAPE))
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, count)
    noisy = patterns[labels] + rng.normal(0, 0.75, (count, *SHAPE))
    return np.clip(255 * TINT * (noisy + 0.5) / 2, 0, 255).astype(np.uint8), labels


def data(count: int = 1200, pixels: Array | None = None, labelled: bool = True) -> Dataset:
    """The data set of these images, or of other `pixels` with the same labels."""
    levels, labels = images(count)
    reading = Reading() if labelled else Reading(labels="reference")
    shown = levels if pixels is None else np.ascontiguousarray(pixels)
    return Dataset("patterns", "test", shown, labels, CLASSES, "", True, reading)


@cache
def states(seed: int = 0, epochs: int = 8) -> tuple[Dense, ...]:
    """An MLP 108-24-10 after 0, 1, ... epochs of gradient descent on other images."""
    levels, labels = images(3000, seed=77)
    pixels, wanted = levels.reshape(-1, WIDTH) / 255.0, np.eye(CLASSES)[labels]
    rng = np.random.default_rng(seed)
    weights = [
        rng.normal(0, (2 / n) ** 0.5, (n, m)) for n, m in ((WIDTH, HIDDEN), (HIDDEN, CLASSES))
    ]
    biases = [np.zeros(HIDDEN), np.zeros(CLASSES)]
    found = [_dense(weights, biases)]
    for epoch in range(epochs):
        rate = 0.3 * 0.6**epoch
        for batch in np.array_split(rng.permutation(len(pixels)), 150):
            hidden = np.maximum(pixels[batch] @ weights[0] + biases[0], 0)
            logits = hidden @ weights[1] + biases[1]
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            slope = (powers / powers.sum(axis=1, keepdims=True) - wanted[batch]) / len(batch)
            back = (slope @ weights[1].T) * (hidden > 0)
            for at, (given, error) in enumerate(((pixels[batch], back), (hidden, slope))):
                weights[at] -= rate * given.T @ error
                biases[at] -= rate * error.sum(axis=0)
        found.append(_dense(weights, biases))
    return tuple(found)


def _dense(weights: Sequence[Array], biases: Sequence[Array]) -> Dense:
    layers = (
        Layer(each.astype(np.float32), bias.astype(np.float32), relu=not at)
        for at, (each, bias) in enumerate(zip(weights, biases, strict=True))
    )
    return Dense(tuple(layers))


def trained(seed: int = 0) -> Dense:
    """The network after its last epoch."""
    return states(seed)[-1]


def first_layer(dense: Dense, weights: Array, bias: Array | None = None) -> Dense:
    """The network with other weights (108, 24) in its first layer."""
    first = dense.layers[0]
    changed = replace(
        first,
        weights=weights.astype(np.float32),
        bias=first.bias if bias is None else bias.astype(np.float32),
    )
    return Dense((changed, *dense.layers[1:]))


def reading(dense: Dense, contract: InputContract) -> Dense:
    """The network that gives, on the values of a contract, what `dense` gives on pixels."""
    first = dense.layers[0]
    rows = first.weights.astype(np.float64).reshape(36, 3, HIDDEN)
    rows = rows[:, ::-1] if contract.bgr else rows
    scale, mean, std = (
        np.broadcast_to([float(each) for each in numbers], (3,)).astype(np.float64)
        for numbers in ((contract.scale,), contract.mean or (0,), contract.std or (1,))
    )
    moved = rows * (std / scale)[None, :, None]
    bias = first.bias + (rows * (mean / scale)[None, :, None]).sum(axis=(0, 1))
    return first_layer(dense, moved.reshape(WIDTH, HIDDEN), bias)


def in_order(dense: Dense, order: Ints) -> Dense:
    """The network that reads the pixel `order[i]` in place i."""
    return first_layer(dense, dense.layers[0].weights[order])


def renamed(dense: Dense, order: Sequence[int]) -> Dense:
    """The network whose class i is the class `order[i]` of `dense`."""
    last = dense.layers[-1]
    places = list(order)
    changed = replace(last, weights=last.weights[:, places], bias=last.bias[places])
    return Dense((*dense.layers[:-1], changed))


def rounded_to(dense: Dense, bits: int) -> Dense:
    """The network with its weights rounded per column to so many bits, in float32."""
    most, layers = (1 << (bits - 1)) - 1, []
    for layer in dense.layers:
        scales = np.abs(layer.weights).max(axis=0) / most
        layers.append(replace(layer, weights=np.rint(layer.weights / scales) * scales))
    return Dense(tuple(layers))


def dynamic(dense: Dense, bits: int = 8) -> bytes:
    """The dynamic-range `.tflite` file, with weights rounded per channel to so many bits."""
    steps: list[Full | Step] = []
    for layer in dense.layers:
        rows = layer.weights.T.astype(np.float64)
        most = (1 << (bits - 1)) - 1
        scales = (np.abs(rows).max(axis=1) / most + 1e-12).astype(np.float32)
        codes = np.clip(np.rint(rows / scales[:, None]), -most, most).astype(np.int8)
        steps.append(Full(codes, np.asarray(layer.bias), scales, layer.relu))
    return write(dense.inputs, Kind(), steps)


@dataclass(frozen=True)
class Files:
    """Where networks are written."""

    folder: Path

    def onnx(self, dense: Dense, name: str = "reference", **options: Any) -> Network:
        """A float network in ONNX, loaded."""
        return _loaded(write_onnx(dense, self.folder / f"{name}.onnx"), options)

    def tflite(self, dense: Dense, name: str = "quantised", **options: Any) -> Network:
        """A dynamic-range file, loaded."""
        path = self.folder / f"{name}.tflite"
        path.write_bytes(dynamic(dense))
        return _loaded(path, options)


def _loaded(path: Path, options: dict[str, Any]) -> Network:
    contract = options.pop("contract", InputContract())
    found = {"image_shape": SHAPE, "classes": CLASSES, "inputs": exactly(contract), **options}
    return load_network(path, **found)
