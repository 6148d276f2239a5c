"""Networks with layers of ours go through TensorFlow's converter as any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import Calibration
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from relrob.training.architectures import find_architecture
from tests import make_networks

SHAPE = (32, 32, 3)


@pytest.mark.parametrize(
    ("arch", "scheme", "error"),
    # float16 weights keep 11 bits, int8 the order of magnitude
    [("cifarnet", "float16", 0.01), ("resnet20", "int8", 0.2)],
)
def test_a_converted_network_computes_the_same(
    arch: str, scheme: str, error: float, tmp_path: Path
) -> None:
    make_networks.keras()
    architecture = find_architecture(arch)
    recipe = replace(architecture.quick, width=0.125)
    model, _ = load("relrob.training.models:models")(architecture, recipe, SHAPE, 10, 0)
    path = tmp_path / "net.keras"
    path.write_bytes(load("relrob.training.saving:saved")(model))
    reference = load_network(path, image_shape=SHAPE, classes=10)
    images = np.random.default_rng(0).random((20, 32 * 32 * 3), dtype=np.float32)
    drawn = Calibration("noise", "train", tuple(range(20)), 0, images)
    data = quantised_bytes(reference, scheme, drawn, SHAPE)
    converted = tmp_path / "net.tflite"
    converted.write_bytes(data)
    network = load_network(converted, image_shape=SHAPE, classes=10)
    found = open_network(network, 1).outputs(images)
    expected = open_network(reference, 1).outputs(images)
    assert np.abs(found - expected).max() <= error * np.ptp(expected)
