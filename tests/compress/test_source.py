"""What is quantised: the user's own network as its own tools quantise it, or plain dense layers
built anew, and what says so."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from relrob.compress.accuracy_loss import accuracy_warnings
from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import Calibration
from relrob.compress.source import check_source, rebuilt
from relrob.domain.network import Network
from relrob.errors import QuantiseError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.system.quiet import quiet_native
from tests.make_networks import (
    convert,
    keras,
    onnx_bytes,
    save,
    write_keras,
    write_keras1,
    write_onnx,
)
from tests.support import random_dense

SHAPE = (5, 5, 2)
DENSE = random_dense(4, (50, 40, 6))
IMAGES = np.random.default_rng(2).random((200, 50), dtype=np.float32)
CALIBRATION = Calibration("noise", "train", tuple(range(200)), 2, IMAGES)


def still(folder: Path, suffix: str) -> Path:
    """A Keras file that normalises pixels of which many never change, as those of MNIST's
    margins."""
    layers = keras().layers
    keras().utils.set_random_seed(3)
    normal = layers.Normalization()
    data = IMAGES.reshape(-1, 50).copy()
    data[:, ::3] = 0.25
    normal.adapt(data)
    stack = [layers.Flatten(), normal, layers.Dense(40, "relu"), layers.Dense(6)]
    model = keras().Sequential([layers.Input(SHAPE), *stack])
    if suffix:
        return save(model, folder / f"still{suffix}")
    with quiet_native():
        model.export(folder / "still", verbose=False)
    return folder / "still"


def pixels() -> Any:
    """Images whose still pixels are still."""
    images = IMAGES.copy()
    images[:, ::3] = 0.25
    return images


@pytest.mark.parametrize("suffix", [".keras", ".h5", ""])
def test_a_normalised_network_is_converted_as_it_is(suffix: str, tmp_path: Path) -> None:
    file = still(tmp_path, suffix)
    network = load_network(file, image_shape=SHAPE, classes=6)
    on_keras = load_network(file, image_shape=SHAPE, classes=6, runtime="keras")
    truth = open_network(on_keras).outputs(pixels()).argmax(axis=1)
    assert rebuilt(network, "dynamic") == ""
    path = tmp_path / "q.tflite"
    path.write_bytes(quantised_bytes(network, "dynamic", None, SHAPE))
    quantised = load_network(path, image_shape=SHAPE, classes=6)
    assert (open_network(quantised).outputs(pixels()).argmax(axis=1) == truth).mean() > 0.9
    for scheme, words in (
        ("qdq", "no way into ONNX.*int8"),
        ("fixed:8", "a float MLP of plain dense layers"),
    ):
        with pytest.raises(QuantiseError, match=words):
            quantised_bytes(network, scheme, CALIBRATION, SHAPE)


def test_the_converter_gives_the_same_of_the_users_model(tmp_path: Path) -> None:
    path = still(tmp_path, ".keras")
    network = load_network(path, image_shape=SHAPE, classes=6)
    with quiet_native():
        model = keras().saving.load_model(path, compile=False)
    assert quantised_bytes(network, "dynamic-per-channel", None, SHAPE) == convert(
        model, "dynamic-per-channel"
    )


def test_what_is_rebuilt_is_said(tmp_path: Path) -> None:
    made: dict[str, Path] = {
        "onnx": write_onnx(DENSE, tmp_path / "n.onnx"),
        "keras1-h5": write_keras1(DENSE, tmp_path / "n.h5"),
        "keras": write_keras(DENSE, tmp_path / "n.keras", SHAPE),
    }
    found = {name: load_network(path, image_shape=SHAPE, classes=6) for name, path in made.items()}
    assert [found[name].format for name in made] == list(made)
    assert [rebuilt(network, "int8") for network in found.values()] == [
        "rebuilt in Keras from dense layers"
    ] * 2 + [""]
    anew = "rebuilt in ONNX from dense layers"
    assert [rebuilt(network, "qdq") for network in found.values()] == ["", anew, anew]
    assert {rebuilt(network, "fixed:8") for network in found.values()} == {""}


def test_an_onnx_file_is_quantised_itself_or_sent_to_qdq(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    kernel = {
        "w": rng.standard_normal((50, 6)).astype(np.float32),
        "m": np.full((1, 50), 0.5, np.float32),
    }
    nodes = [
        helper.make_node("Sub", ["x", "m"], ["v"]),
        helper.make_node("MatMul", ["v", "w"], ["y"]),
    ]
    path = tmp_path / "n.onnx"
    path.write_bytes(onnx_bytes(nodes, kernel, ["n", 50], 6))
    network = load_network(path, image_shape=SHAPE, classes=6)
    with pytest.raises(QuantiseError, match=r"no way into LiteRT.*--quantise qdq"):
        quantised_bytes(network, "int8", CALIBRATION, SHAPE)
    out = tmp_path / "q.onnx"
    out.write_bytes(quantised_bytes(network, "qdq", CALIBRATION, SHAPE))
    expected = ((IMAGES - 0.5) @ kernel["w"]).argmax(axis=1)
    quantised = load_network(out, image_shape=SHAPE, classes=6)
    assert (open_network(quantised).outputs(IMAGES).argmax(axis=1) == expected).mean() > 0.9


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [("int8", "onnx"), ("qdq", "keras"), ("fixed:4", "onnx"), ("qdq", "savedmodel")],
)
def test_more_than_dense_layers_has_no_other_way(scheme: str, kind: str) -> None:
    network = Network("n", "", kind, "onnxruntime", 50, 6, SHAPE, dense=DENSE)
    check_source(network, scheme)
    for other in (replace(network, folded=True), replace(network, dense=None)):
        with pytest.raises(QuantiseError, match="more than plain dense layers"):
            check_source(other, scheme)


def test_a_lost_point_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert accuracy_warnings(0.95, 0.94) == []
        assert accuracy_warnings(0.95, 0.96) == []
        assert not caplog.records
        (text,) = accuracy_warnings(1.0, 0.93, own=True)
        assert text == (
            "the quantised network gives another label than the reference on 7.00% of the images"
        )
        (text,) = accuracy_warnings(0.95, 0.9399)
    assert "93.99%" in text and "95.00%" in text
    assert [record.getMessage() for record in caplog.records][1:] == [text]
