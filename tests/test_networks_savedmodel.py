"""SavedModel directories that Keras and TensorFlow wrote; those whose graphs do more than arithmetic are refused unrun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.errors import NetworkError, ShapeError, UnsupportedLayerError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.quiet import quiet_native
from relrob.registry import load
from tests.make_networks import forward, keras, keras_model, softmax
from tests.support import random_dense

SHAPE = (4, 5, 3)
DENSE = random_dense(3, (60, 16, 6), softmax=True)
IMAGES = np.random.default_rng(4).random((11, 60), dtype=np.float32)


def export(model: Any, path: Path) -> Path:
    """`model.export`."""
    with quiet_native():
        model.export(str(path), verbose=False)
    return path


def test_an_mlp_is_read_and_runs_as_keras_computes_it(tmp_path: Path) -> None:
    model = keras_model(DENSE, SHAPE, lambda layers: [layers.Rescaling(0.5, 0.25)])
    network = load_network(export(model, tmp_path / "saved"), image_shape=SHAPE, classes=6)
    assert (network.format, network.runtime, network.folded) == ("savedmodel", "onnxruntime", True)
    assert network.dense is not None
    expected = np.asarray(model(IMAGES.reshape(-1, *SHAPE)))
    np.testing.assert_allclose(softmax(forward(network.dense, IMAGES)), expected, atol=1e-5)
    np.testing.assert_allclose(softmax(open_network(network).outputs(IMAGES).astype(np.float64)), expected, atol=1e-5)


def test_a_convolution_is_a_black_box(tmp_path: Path) -> None:
    layers = keras().layers
    model = keras().Sequential([layers.Input(SHAPE), layers.Conv2D(4, 2), layers.Flatten(), layers.Dense(6)])
    path = export(model, tmp_path / "saved")
    network = load_network(path, image_shape=SHAPE, classes=6)
    assert (network.dense, network.runtime) == (None, "keras")
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES), np.asarray(model(IMAGES.reshape(-1, *SHAPE))), atol=1e-5
    )
    with pytest.raises(ShapeError, match="6 outputs, the data set 10"):
        load_network(path, image_shape=SHAPE, classes=10)
    (path / "more").write_bytes(b"x")
    with pytest.raises(NetworkError, match="has changed since it was loaded"):
        open_network(network)


def test_a_graph_that_writes_files_is_refused_and_not_run(tmp_path: Path) -> None:
    tf = load("tests.tensorflow_here:tensorflow")
    victim = tmp_path / "victim"

    def serve(images: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(victim), "owned")]):
            return tf.identity(images[:, :6])

    module = tf.Module()
    module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, 60), tf.float32)])
    with quiet_native():
        tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    victim.unlink(missing_ok=True)
    with pytest.raises(UnsupportedLayerError, match=r"operator \d+ 'WriteFile' \(WriteFile\)"):
        load_network(tmp_path / "saved", image_shape=SHAPE, classes=6)
    assert not victim.exists()


def test_a_table_with_an_initialiser_is_refused(tmp_path: Path) -> None:
    tf = load("tests.tensorflow_here:tensorflow")
    module = tf.Module()
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant([1]), tf.constant([2]))
    module.table = tf.lookup.StaticHashTable(pairs, 0)
    module.serve = tf.function(lambda images: images, input_signature=[tf.TensorSpec((None, 60), tf.float32)])
    with quiet_native():
        tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    with pytest.raises(UnsupportedLayerError, match="holds a resource"):
        load_network(tmp_path / "saved", image_shape=SHAPE, classes=6)


def test_a_damaged_directory_gets_one_line(tmp_path: Path) -> None:
    path = export(keras_model(DENSE, SHAPE), tmp_path / "saved")
    index = path / "variables" / "variables.index"
    index.write_bytes(index.read_bytes()[:20])
    with pytest.raises(NetworkError, match="TensorFlow refuses") as caught:
        load_network(path, image_shape=SHAPE, classes=6)
    assert "\n" not in str(caught.value)
    (path / "saved_model.pb").write_bytes(b"\xff\xff")
    with pytest.raises(NetworkError, match=r"no readable saved_model\.pb|not a SavedModel"):
        load_network(path, image_shape=SHAPE, classes=6)
