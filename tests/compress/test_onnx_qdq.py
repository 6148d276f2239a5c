"""onnxruntime's static QDQ files: integers, scales, bytes, and what is refused."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import Calibration
from relrob.domain.network import Dense, Layout, Network
from relrob.errors import QuantiseError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.system.files import sha256_bytes
from tests import make_networks
from tests.support import ROOT, random_dense

SHAPE = (6, 6, 3)
DENSE = random_dense(4, (108, 40, 10))
IMAGES = np.random.default_rng(2).random((200, 108), dtype=np.float32)
CALIBRATION = Calibration("noise", "train", tuple(range(200)), 2, IMAGES)


def network_of(dense: Dense, layout: Layout = Layout.HWC) -> Network:
    return Network("net.h5", "", "keras1-h5", "onnxruntime", 108, 10, SHAPE, layout, dense=dense)


def constants(data: bytes) -> dict[str, NDArray[Any]]:
    """Name -> values of every constant."""
    graph = onnx.load_model_from_string(data).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def run(data: bytes, folder: Path, layout: Layout = Layout.HWC) -> NDArray[np.float32]:
    path = folder / "q.onnx"
    path.write_bytes(data)
    network = load_network(path, image_shape=SHAPE, classes=10, inherit=layout)
    assert network.scheme == "qdq"
    return open_network(network).outputs(IMAGES)


def test_weights_are_7_bits_of_int8_with_a_scale_an_output_channel(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    data = quantised_bytes(network_of(DENSE), "qdq", CALIBRATION, SHAPE)
    assert capfd.readouterr() == ("", "")
    assert (list(logging.getLogger().handlers), logging.getLogger().level) == (handlers, level)
    held = constants(data)
    for number, layer in enumerate(DENSE.layers):
        scale = np.abs(layer.weights).max(axis=0) / 64
        np.testing.assert_allclose(held[f"weights{number}_scale"], scale, rtol=0.02)
        assert held[f"weights{number}_quantized"].dtype == np.int8
        assert np.abs(held[f"weights{number}_quantized"].astype(int)).max() == 64, (
            "no sum of two products leaves 16 bits"
        )
        back = held[f"weights{number}_quantized"] * held[f"weights{number}_scale"]
        assert np.all(np.abs(back - layer.weights) <= scale * 0.51)
    low, high = IMAGES.min(), IMAGES.max()
    assert held["image_scale"] == pytest.approx((high - min(low, 0)) / 255, rel=1e-5), (
        "MinMax over the calibration images"
    )
    truth = make_networks.forward(DENSE, IMAGES)
    found = run(data, tmp_path)
    assert (found.argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.93
    assert np.abs(found - truth).max() < 0.05 * np.abs(truth).max()


def test_the_same_bytes_in_other_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    here = sha256_bytes(quantised_bytes(network_of(DENSE), "qdq", CALIBRATION, SHAPE))
    assert not list((tmp_path / "temporary").iterdir()), "temporary files stay"
    code = (
        "from tests.compress.test_onnx_qdq import *;"
        "print(sha256_bytes(quantised_bytes(network_of(DENSE), 'qdq', CALIBRATION, SHAPE)))"
    )
    for seed in ("1", "2"):
        path = os.pathsep.join([".", "datasets"])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [here]


def test_the_artefact_reads_pixels_in_the_order_of_its_reference(tmp_path: Path) -> None:
    rows = quantised_bytes(network_of(DENSE), "qdq", CALIBRATION, SHAPE)
    planes = quantised_bytes(network_of(DENSE, Layout.CHW), "qdq", CALIBRATION, SHAPE)
    first = constants(rows)["weights0_quantized"].reshape(*SHAPE, 40).transpose(2, 0, 1, 3)
    assert np.array_equal(first.reshape(108, 40), constants(planes)["weights0_quantized"])
    step = float(
        constants(rows)["logits_scale"]
    )  # float calibration adds in another order: one step at most
    np.testing.assert_allclose(
        run(rows, tmp_path), run(planes, tmp_path, Layout.CHW), rtol=0, atol=1.01 * step
    )


def convolution(batch: int | str, activation: str = "Relu") -> bytes:
    """Conv 3x3 on (batch, 3, 6, 6), an activation, Flatten, Gemm."""
    rng = np.random.default_rng(6)
    weights: dict[str, NDArray[Any]] = {
        "k": rng.standard_normal((8, 3, 3, 3)).astype(np.float32),
        "b": rng.standard_normal((128, 10)).astype(np.float32) / 8,
    }
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node(activation, ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("Gemm", ["f", "b"], ["y"]),
    ]
    return make_networks.onnx_bytes(nodes, weights, [batch, 3, 6, 6], 10)


@pytest.mark.parametrize("batch", ["n", 1])
def test_a_black_box_is_quantised_from_its_file(batch: int | str, tmp_path: Path) -> None:
    path = tmp_path / "cnn.onnx"
    path.write_bytes(convolution(batch))
    network = load_network(path, image_shape=SHAPE, classes=10)
    assert (network.dense, network.layout) == (None, Layout.CHW)
    data = quantised_bytes(network, "qdq", CALIBRATION, SHAPE)
    assert data == quantised_bytes(network, "qdq", CALIBRATION, SHAPE)
    assert {"k_quantized", "b_quantized"} <= set(constants(data))
    assert constants(data)["k_scale"].shape == (8,)
    truth = open_network(network).outputs(IMAGES)
    assert (run(data, tmp_path).argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.9


def test_what_cannot_be_quantised_is_refused(tmp_path: Path) -> None:
    keras_cnn = Network("cnn.keras", "", "keras", "keras", 108, 10, SHAPE)
    with pytest.raises(QuantiseError, match=r"no way into ONNX.*the scheme int8"):
        quantised_bytes(keras_cnn, "qdq", CALIBRATION, SHAPE)
    path = tmp_path / "pool.onnx"
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Slice", ["f", "s", "e", "a"], ["y"]),
    ]
    ends = {"s": np.array([0]), "e": np.array([10]), "a": np.array([1])}
    path.write_bytes(make_networks.onnx_bytes(nodes, ends, ["n", 6, 6, 3], 10))
    with pytest.raises(QuantiseError, match="nothing was quantised as qdq"):
        quantised_bytes(
            load_network(path, image_shape=SHAPE, classes=10), "qdq", CALIBRATION, SHAPE
        )


def classifier(zipmap: bool) -> bytes:
    """DENSE as skl2onnx writes a classifier: MatMul, Add of (1, n), a label beside the scores."""
    nodes, held, value = list[Any](), list[Any](), "x"
    for number, layer in enumerate(DENSE.layers):
        names = [f"{word}{number}" for word in ("w", "b", "m", "a", "r")]
        held += [
            numpy_helper.from_array(layer.weights, names[0]),
            numpy_helper.from_array(layer.bias[None], names[1]),
        ]
        nodes += [
            helper.make_node("MatMul", [value, names[0]], [names[2]]),
            helper.make_node("Add", [names[2], names[1]], [names[3]]),
            helper.make_node("Relu" if layer.relu else "Softmax", [names[3]], [names[4]]),
        ]
        value = names[4]
    nodes.append(helper.make_node("ArgMax", [value], ["label"], axis=1, keepdims=0))
    if zipmap:
        labels = list(range(10))
        nodes.append(
            helper.make_node(
                "ZipMap", [value], ["scores"], domain="ai.onnx.ml", classlabels_int64s=labels
            )
        )
        maps = helper.make_map_type_proto(
            TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        )
        scores = helper.make_value_info("scores", helper.make_sequence_type_proto(maps))
    else:
        nodes.append(helper.make_node("Identity", [value], ["scores"]))
        scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 10])
    label = helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 108])
    graph = helper.make_graph(nodes, "sk", [given], [label, scores], held)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())


@pytest.mark.parametrize("zipmap", [False, True])
def test_a_classifier_of_skl2onnx_is_quantised_with_its_label(tmp_path: Path, zipmap: bool) -> None:
    path = tmp_path / "sk.onnx"
    path.write_bytes(classifier(zipmap))
    reference = load_network(path, image_shape=SHAPE, classes=10)
    data = quantised_bytes(reference, "qdq", CALIBRATION, SHAPE)
    outputs = onnx.load_model_from_string(data).graph.output
    assert [value.name for value in outputs] == ["label", "scores"]
    found, truth = run(data, tmp_path), make_networks.forward(DENSE, IMAGES)
    assert (found.argmax(axis=1) == truth.argmax(axis=1)).mean() > 0.93
