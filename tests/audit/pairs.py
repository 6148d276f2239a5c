"""Small pairs for the audit's tests: seeded MLPs with hidden layers of one shape, and the `.tflite`
files of them that NumPy quantised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relrob.audit.diagnosis import Diagnosis
from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import compare_weights
from relrob.domain.arrays import Floats
from relrob.domain.network import Dense, Network
from relrob.networks.load import load_network
from tests.make_kernels import Full, Kind, Step, write
from tests.make_networks import write_keras1
from tests.support import random_dense

Array = NDArray[Any]
SHAPE = (6, 6, 3)
SIZES = (108, 24, 24, 24, 10)


@dataclass(frozen=True)
class Runs:
    """What runs say of a pair."""

    diagnoses: tuple[Diagnosis, ...] = ()
    candidates: tuple[Diagnosis, ...] = ()


def dense(seed: int = 1) -> Dense:
    """A network with two hidden layers of one shape."""
    return random_dense(seed, SIZES)


def images(count: int = 64) -> Floats:
    """Seeded images (n, 108)."""
    return np.random.default_rng(9).random((count, SIZES[0]), dtype=np.float32)


def codes(weights: Array, bits: int = 8, per_channel: bool = True) -> tuple[Array, Array]:
    """Weights (out, in) as symmetric integers, rounded to the nearest, and their scales."""
    most = (1 << (bits - 1)) - 1
    largest = np.abs(weights).max(axis=1 if per_channel else None)
    scales = np.atleast_1d(largest / most).astype(np.float32)
    return np.clip(np.rint(weights / scales[:, None]), -most, most).astype(np.int8), scales


def dynamic(network: Dense, per_channel: bool = True, bits: int = 8) -> bytes:
    """Its dynamic-range `.tflite` file; 4 bits are stored as 8."""
    steps: list[Full | Step] = []
    for layer in network.layers:
        held, scales = codes(layer.weights.T.astype(np.float64), bits, per_channel)
        steps.append(Full(held, np.asarray(layer.bias, np.float32), scales, layer.relu))
    return write(network.inputs, Kind(), steps)


def int8(network: Dense, calibration: Floats) -> bytes:
    """Its int8 `.tflite` file, whose ranges are those of the activations on `calibration`."""
    given = Kind(float(np.float32(1 / 255)), -128)
    first, steps = given, list[Full | Step]()
    for number, layer in enumerate(network.layers):
        held, scales = codes(layer.weights.T.astype(np.float64))
        values = _values(network, number, calibration)
        low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
        scale = float(np.float32((high - low) / 255))
        out = Kind(scale, int(np.rint(-128 - low / scale)))
        bias = np.rint(layer.bias / (given.scale * scales.astype(np.float64))).astype(np.int32)
        steps.append(Full(held, bias, scales, layer.relu, out))
        given = out
    return write(network.inputs, first, steps)


def _values(network: Dense, number: int, calibration: Floats) -> Array:
    """The output of a layer."""
    value: Array = calibration.astype(np.float64)
    for layer in network.layers[: number + 1]:
        value = value @ layer.weights + layer.bias
        value = np.maximum(value, 0) if layer.relu else value
    return value


@dataclass(frozen=True)
class Pair:
    """A reference and a quantised network."""

    reference: Network
    quantised: Network

    def report(self) -> WeightReport:
        """The comparison of their weights on the seeded images."""
        return compare_weights(self.reference, self.quantised, images())

    def names(self) -> list[str]:
        """The names of their faults."""
        return [each.id for each in self.report().diagnoses]


def pair(folder: Path, reference: Dense | Path, quantised: bytes, suffix: str = ".tflite") -> Pair:
    """The pair, from files in a folder."""
    path = reference
    if isinstance(path, Dense):
        path = write_keras1(path, folder / "reference.h5")
    other = folder / f"quantised{suffix}"
    other.write_bytes(quantised)
    # Keras 1 weights read (C, H, W) unless they are told otherwise.
    return Pair(
        load_network(path, image_shape=SHAPE, classes=10, layout="hwc"),
        load_network(other, image_shape=SHAPE, classes=10, layout="hwc"),
    )
