"""What tests share: real data where it is present, and a small seeded network."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from relrob.domain.arrays import Floats
from relrob.domain.network import Dense, Layer, Network
from relrob.networks.open import Opened

ROOT = Path(__file__).resolve().parent.parent


def shared_data(name: str) -> Path:
    """A file of the shared data folder; skips the test where it is absent (RELROB_SHARED_DATA names
    the folder)."""
    folder = Path(os.environ.get("RELROB_SHARED_DATA") or ROOT.parent / "shared" / "data")
    path = folder / name
    if not path.exists():
        pytest.skip(
            f"needs {name}, which cannot be redistributed; set RELROB_SHARED_DATA to the "
            "folder that holds it"
        )
    return path


def random_dense(seed: int, sizes: tuple[int, ...], softmax: bool = False) -> Dense:
    """A seeded float32 MLP with ReLU between layers: sizes (d, hidden..., classes)."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        weights = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in) * 1.5).astype(np.float32)
        bias = (rng.standard_normal(n_out) * 0.1).astype(np.float32)
        layers.append(Layer(weights, bias, relu=number < len(sizes) - 2))
    return Dense(tuple(layers), softmax=softmax)


@dataclass(frozen=True)
class NumpyEvaluator:
    """A float32 forward pass in plain NumPy: a runtime for tests that need none of the real
    ones."""

    dense: Dense
    runtime: str = "numpy"
    best_batch: int = 1024

    def outputs(self, images: Floats) -> Floats:
        """(n, d) -> (n, classes)."""
        values: Floats = images
        for layer in self.dense.layers:
            values = values @ layer.weights + layer.bias
            values = np.maximum(values, np.float32(0)) if layer.relu else values
        return values


def numpy_opened(dense: Dense, shape: tuple[int, int, int], black_box: bool = False) -> Opened:
    """A network of plain NumPy, opened; `black_box` hides its weights from the solver."""
    network = Network(
        "test",
        "0" * 64,
        "onnx",
        "numpy",
        dense.inputs,
        dense.classes,
        shape,
        dense=None if black_box else dense,
    )
    evaluator = NumpyEvaluator(dense)
    return Opened(network, evaluator, evaluator)


def rounded(dense: Dense, bits: int) -> Dense:
    """The same network with weights rounded to so many bits: a stand-in for quantisation."""
    layers = []
    for layer in dense.layers:
        scale = float(np.abs(layer.weights).max()) / (2 ** (bits - 1) - 1)
        layers.append(
            Layer(
                (np.rint(layer.weights / scale) * scale).astype(np.float32), layer.bias, layer.relu
            )
        )
    return Dense(tuple(layers), dense.softmax)
