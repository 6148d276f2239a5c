"""Odd numbers of images on LiteRT give the bits of single images; pixels become levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from relrob.networks.litert.interpreter import LiteRt, quantised
from relrob.networks.load import load_network
from tests.support import shared_data


def test_odd_batches_give_the_bits_of_single_images() -> None:
    path: Path = shared_data("quantised_formats/mlp_static_wi8_ai8.tflite")
    network = load_network(path, image_shape=(28, 28, 1), classes=10)
    images = np.random.default_rng(0).random((171, 784), dtype=np.float32)
    batches, single = (LiteRt(network, path.read_bytes(), 1, most) for most in (64, 1))
    assert np.array_equal(batches.outputs(images), single.outputs(images))


def test_pixels_become_the_levels_of_the_formula() -> None:
    """clip(rint(x / scale) + zero point), in one piece and in blocks."""
    images = np.random.default_rng(1).uniform(-0.2, 1.2, (200, 500)).astype(np.float32)
    details = {"dtype": np.int8, "quantization": (np.float32(1 / 255), -128)}
    levels = np.clip(np.rint(images / np.float32(1 / 255)) - 128, -128, 127).astype(np.int8)
    assert np.array_equal(quantised(images, details), levels)
    assert np.array_equal(quantised(images[0], details), levels[0])
