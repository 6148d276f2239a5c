"""Enclosures against the runtimes: no output of LiteRT is ever further from the real network than
the enclosure says."""

from __future__ import annotations

import logging
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from relrob.domain.arrays import Doubles, Floats
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.enclosure import (
    EnclosedLayer,
    Enclosure,
    float32_enclosure,
    int8_softmax_gap,
    probability_margin,
)
from relrob.networks.litert.enclosure import tflite_enclosure
from relrob.networks.litert.kernels import has_halves
from relrob.networks.litert.runtime import in_batches
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.networks.open import open_network
from relrob.system.files import sha256_bytes
from tests.make_networks import write_tflite
from tests.support import random_dense, shared_data

SHAPE = (12, 10, 1)
SCHEMES = ("dynamic", "dynamic-per-channel", "int8", "float32", "float16")
RUNTIMES = ("xnnpack", "builtin", "reference")


def enclosed_outputs(enclosure: Enclosure, images: Floats) -> tuple[Doubles, Doubles]:
    """(real outputs, error bound) image by image, the error propagated through |weights|: both (n,
    classes)."""
    values, error = images.astype(np.float64), np.zeros(images.shape)
    for layer in enclosure.layers:
        error = error @ np.abs(layer.weights) + layer.deviation(values + error).total(layer.size)
        values = values @ layer.weights + layer.bias
        values = np.maximum(values, 0) if layer.relu else values
        values = np.clip(values, layer.floor, layer.cap)
    return values, error


def hostile_images(count: int, seed: int) -> Floats:
    """Noise, sparse, constant, black, one white pixel, tiny values, exact halves of the 8-bit
    grid."""
    rng = np.random.default_rng(seed)
    images = rng.random((count, 120), dtype=np.float32)
    images[0::5] *= rng.random((len(images[0::5]), 120)) < 0.1
    images[1::5] *= np.float32(2.0**-9)
    images[2::5] = (np.rint(images[2::5] * 255) + np.float32(0.5)).clip(0, 255) / np.float32(255)
    images[0], images[1], images[2] = 0, 1, 0.25
    images[3] = 0
    images[3, 7] = 1
    return images


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Network]:
    folder = tmp_path_factory.mktemp("files")
    dense = random_dense(4, (120, 40, 32, 6))
    found = {}
    for scheme in SCHEMES:
        write_tflite(dense, folder / f"{scheme}.tflite", SHAPE, scheme)
        found[scheme] = load_network(folder / f"{scheme}.tflite", image_shape=SHAPE, classes=6)
    return found


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_outputs_stay_inside(files: dict[str, Network], scheme: str, runtime: str) -> None:
    network = load_network(files[scheme].path, image_shape=SHAPE, classes=6, runtime=runtime)
    if scheme == "float16" and runtime == "xnnpack" and has_halves():
        assert "half precision" in network.black_box
        return
    enclosure = tflite_enclosure(network, Path(network.path).read_bytes())
    assert enclosure is not None
    assert enclosure.gap == 0
    images = hostile_images(1500, 1)
    values, error = enclosed_outputs(enclosure, images)
    # Float kernels sum in one order alone and in another in a batch: the enclosure holds both.
    outputs = np.stack([open_network(network).outputs(images), in_batches(network, images)])
    off = np.abs(outputs.astype(np.float64) - values)
    assert (off <= error).all()
    share = off.max() / error.max()
    assert share > (1e-4 if "float" in scheme else 0.002), (
        "an error bound that could be anything proves nothing"
    )


def test_an_error_half_as_large_would_be_wrong() -> None:
    """One layer, one weight: the bound on a quantised input is attained, so it cannot be halved."""
    layer = EnclosedLayer(np.ones((2, 1)), np.zeros(1), relu=False, terms=4, share=0.5 / 127)
    steps = np.arange(0, 128) + 0.5
    worst = max(abs(x / 127 - np.floor(x + 0.5) / 127) for x in steps)
    assert worst == pytest.approx(
        layer.deviation(np.array([1.0, 0.0])).total(layer.size)[0], rel=1e-3
    )


def test_float32_runtime_stays_inside_the_any_order_bound() -> None:
    dense = random_dense(9, (120, 60, 50, 7))
    network = Network(
        "m", sha256_bytes(to_onnx(dense)), "onnx", "onnxruntime", 120, 7, SHAPE, dense=dense
    )
    images = hostile_images(1500, 2)
    values, error = enclosed_outputs(float32_enclosure(dense), images)
    outputs = open_network(network, data=to_onnx(dense)).outputs(images).astype(np.float64)
    assert (np.abs(outputs - values) <= error).all()


@pytest.mark.parametrize("runtime", ["xnnpack", "builtin"])
def test_the_authors_cifar_file(runtime: str) -> None:
    path = shared_data("duncan2020/converted_model_cifar.tflite")
    with np.load(shared_data("cifar10/cifar10_test.npz")) as data:
        images = data["x_test"][:200].reshape(200, -1).astype(np.float32) / np.float32(255)
    network = load_network(path, image_shape=(32, 32, 3), classes=10, runtime=runtime, layout="chw")
    enclosure = tflite_enclosure(network, path.read_bytes())
    assert enclosure is not None
    assert 0 < enclosure.gap < 0.01
    values, error = enclosed_outputs(enclosure, images)
    probabilities = open_network(network).outputs(images).astype(np.float64)
    scores = np.log(probabilities + 1e-30)
    for one in range(10):
        for two in range(10):
            sure = values[:, one] - values[:, two] > error[:, one] + error[:, two] + enclosure.gap
            assert (scores[sure, one] > scores[sure, two]).all()


def test_other_graphs_have_none(
    files: dict[str, Network], caplog: pytest.LogCaptureFixture
) -> None:
    network = files["dynamic"]
    model: Any = schema.ModelT.InitFromPackedBuf(Path(network.path).read_bytes(), 0)
    for operator in model.subgraphs[0].operators:
        if hasattr(operator.builtinOptions, "fusedActivationFunction"):
            operator.builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.TANH
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    data = bytes(builder.Output())
    changed = replace(network, sha256=sha256_bytes(data))
    with caplog.at_level(logging.INFO, logger="relrob"):
        assert tflite_enclosure(changed, data) is None
    assert "has another activation than ReLU" in caplog.text


def test_softmax_gap_of_int8() -> None:
    """Brute force over two logits: beyond the gap, the stored probabilities differ even if each is
    off by two quanta."""
    for classes in (2, 10, 63):
        gap = int8_softmax_gap(classes)
        others = np.zeros(classes - 2)
        values = np.exp(np.concatenate([[gap + 1e-9], [0.0], others]))
        shares = values / values.sum()
        assert (shares[0] - shares[1]) * 256 > 4 * (1 - 1e-6)
    assert int8_softmax_gap(64) == float("inf")
    assert int8_softmax_gap(10) == pytest.approx(-log(1 - 40 / 256))


def test_illegal_layers_cannot_exist() -> None:
    with pytest.raises(NetworkError, match="weights"):
        EnclosedLayer(np.ones((2, 3)), np.zeros(2), relu=False, terms=4)
    with pytest.raises(NetworkError, match="below 0"):
        EnclosedLayer(np.ones((2, 3)), np.zeros(3), relu=False, terms=4, share=-1)


def test_margins_of_probabilities_are_bounded_by_margins_of_logits() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        logits = rng.normal(size=5) * rng.uniform(0.1, 6)
        shares = np.exp(logits) / np.exp(logits).sum()
        for label in range(5):
            apart = logits[label] - np.delete(logits, label).max()
            margin = shares[label] - np.delete(shares, label).max()
            bound = probability_margin(float(apart), 5)
            assert margin >= bound - 1e-12 if apart >= 0 else margin <= bound + 1e-12
