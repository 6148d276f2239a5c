"""The other network of each pair: a plain float MLP in ONNX, robust or not, kept open.

Its labels come from onnxruntime itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from relrob.domain.arrays import Bools, Floats
from relrob.domain.network import Dense, Layer
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import Opened, open_network
from relrob.testing import alone


@dataclass(frozen=True, eq=False)
class Plain:
    """`opened`, whose label of most images is `label`; `run`: one image on onnxruntime."""

    opened: Opened
    run: alone.Run
    label: int

    @staticmethod
    def path(
        folder: Path, shape: tuple[int, int, int], classes: int, label: int, easy: bool
    ) -> Path:
        """Its file."""
        return (
            folder
            / f"plain-{'x'.join(map(str, shape))}-{classes}-{label}{'-easy' if easy else ''}.onnx"
        )

    @staticmethod
    @lru_cache(maxsize=256)
    def of(
        folder: Path, shape: tuple[int, int, int], classes: int, label: int, easy: bool
    ) -> Plain:
        """Drawn from its arguments, written to `folder` once. `easy`: right by so much that bounds
        see it at once."""
        inputs = int(np.prod(shape))
        rng = np.random.default_rng([inputs, classes, label])
        weights = [
            rng.standard_normal(size).astype(np.float32) for size in ((inputs, 5), (5, classes))
        ]
        bias = np.zeros(classes, np.float32)
        bias[label] = 2.5
        weights[1] *= np.float32(0.05 if easy else 1)
        layers = (Layer(weights[0], np.zeros(5, np.float32), True), Layer(weights[1], bias, False))
        data = to_onnx(Dense(layers))
        path = Plain.path(folder, shape, classes, label, easy)
        path.write_bytes(data)
        network = load_network(path, image_shape=shape, classes=classes)
        opened = Opened(network, open_network(network), open_network(network, batch=1))
        return Plain(opened, alone.opened("onnxruntime", data, ".onnx"), label)

    def wrong(self, points: Floats) -> Bools:
        """Which points it gets wrong."""
        return np.asarray(alone.labels(alone.outputs(self.run, points)) != self.label, np.bool_)
