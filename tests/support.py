"""What tests share: real data where it is present, and a small seeded network."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from relrob.domain.network import Dense, Layer

ROOT = Path(__file__).resolve().parent.parent


def shared_data(name: str) -> Path:
    """A file of the shared data folder; skips the test where it is absent (RELROB_SHARED_DATA names the folder)."""
    folder = Path(os.environ.get("RELROB_SHARED_DATA") or ROOT.parent / "shared" / "data")
    path = folder / name
    if not path.exists():
        pytest.skip(f"needs {name}, which cannot be redistributed; set RELROB_SHARED_DATA to the folder that holds it")
    return path


def random_dense(seed: int, sizes: tuple[int, ...], softmax: bool = False) -> Dense:
    """A seeded float32 MLP with ReLU between layers: sizes (d, hidden..., classes)."""
    rng = np.random.default_rng(seed)
    layers = []
    for number, (n_in, n_out) in enumerate(zip(sizes, sizes[1:], strict=False)):
        weights = (rng.standard_normal((n_in, n_out)) / np.sqrt(n_in) * 1.5).astype(np.float32)
        bias = (rng.standard_normal(n_out) * 0.1).astype(np.float32)
        layers.append(Layer(weights, bias, relu=number < len(sizes) - 2))
    return Dense(tuple(layers), softmax=softmax)
