"""Compression in training: resumed to the same bytes, and a file whose kernels have its levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from relrob.compress.in_training.asked import asked_method
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from relrob.training.asked import Training
from tests import make_networks
from tests.training.small import StopError, bars, stop, trained


@pytest.mark.parametrize(
    ("compress", "values"),
    [
        # levels of a kernel: 2 bits of DoReFa, of APoT with its sign, 4 bits of fixed point
        ("dorefa:2", 4),
        ("apot:2", 3),
        ("q:4:1", 16),
        ("surgery:0.5", None),
    ],
)
def test_compression_in_training_resumes_to_the_same_bytes(
    compress: str, values: int | None, tmp_path: Path
) -> None:
    asked = Training("lenet5", bars(tmp_path), seed=1, epochs=2, compress=asked_method(compress))
    path = tmp_path / "a.keras"
    with pytest.raises(StopError):
        trained(asked, path, stop)
    assert (tmp_path / "a.keras.training").is_file()
    assert trained(asked, path) == trained(asked, tmp_path / "whole.keras")
    network = load_network(path, image_shape=(28, 28, 1), classes=3)
    assert open_network(network, 1).outputs(np.zeros((1, 784), np.float32)).shape == (1, 3)
    make_networks.keras()
    layers = load("relrob.networks.keras.own_layers:LAYERS")
    loaded = load("keras.saving:load_model")
    model = loaded(path, custom_objects=layers, compile=False, safe_mode=True)
    kernel = model.get_layer("conv1").get_weights()[0]
    if values is None:
        assert 0.3 < (kernel == 0).mean() < 0.7
    else:
        assert 1 < len(np.unique(kernel)) <= values
