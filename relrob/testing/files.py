"""Quantised files for cases: small networks through the converter, and the runtimes for them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Final

import numpy as np

from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import Calibration
from relrob.domain.network import Dense, Layer
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import Opened, open_network
from relrob.system.files import write_atomic
from relrob.testing.cases import SHAPE, SIZES, random_dense

KINDS: Final = (
    ("dynamic", "xnnpack"),
    ("dynamic", "builtin"),
    ("int8", "xnnpack"),
    ("int8", "builtin"),
)


def quantised_files(
    folder: Path,
    seed: int = 0,
    kinds: Sequence[tuple[str, str]] = KINDS,
    shape: tuple[int, int, int] = SHAPE,
) -> list[Opened]:
    """Two networks of each (scheme, runtime), written to `folder`; the second has two equal
    classes, whose outputs tie everywhere.

    Cost: TensorFlow's import, then under a second a file. Raises RelrobError.
    """
    rng, inputs = np.random.default_rng(seed), prod(shape)
    noise = rng.random((64, inputs), dtype=np.float32)
    calibration = Calibration("noise", "cases", tuple(range(64)), seed, noise)
    found = []
    for scheme, runtime in kinds:
        for number in (1, 2):
            # Dynamic range keeps tensors below 1,024 elements in float.
            dense = random_dense(rng, (inputs, 32, 40, SIZES[2][-1]))
            if number == 2:
                last = dense.layers[-1]
                weights, bias = last.weights.copy(), last.bias.copy()
                weights[:, 1], bias[1] = weights[:, 0], bias[0]
                dense = Dense((*dense.layers[:-1], Layer(weights, bias, False)))
            source, target = (
                folder / f"{scheme}{runtime}{inputs}-{number}.{end}" for end in ("onnx", "tflite")
            )
            write_atomic(source, to_onnx(dense))
            reference = load_network(source, image_shape=shape, classes=dense.classes)
            write_atomic(target, quantised_bytes(reference, scheme, calibration, shape))
            network = load_network(
                target, image_shape=shape, classes=dense.classes, runtime=runtime
            )
            found.append(Opened(network, open_network(network), open_network(network, batch=1)))
    return found
