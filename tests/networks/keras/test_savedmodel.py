"""SavedModel directories that Keras and TensorFlow wrote; those whose graphs do more than
arithmetic are refused unrun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from relrob.compress.build import quantised_bytes
from relrob.domain.network import Network
from relrob.errors import NetworkError, RelrobError, ShapeError, UnsupportedLayerError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from relrob.system.files import sha256_path
from relrob.system.quiet import quiet_native
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
    assert (network.format, network.runtime, network.folded) == ("savedmodel", "keras", True)
    assert network.dense is not None
    expected = np.asarray(model(IMAGES.reshape(-1, *SHAPE)))
    np.testing.assert_allclose(softmax(forward(network.dense, IMAGES)), expected, atol=1e-5)
    np.testing.assert_allclose(open_network(network).outputs(IMAGES), expected, atol=1e-6)


def test_a_convolution_is_a_black_box(tmp_path: Path) -> None:
    layers = keras().layers
    model = keras().Sequential(
        [layers.Input(SHAPE), layers.Conv2D(4, 2), layers.Flatten(), layers.Dense(6)]
    )
    path = export(model, tmp_path / "saved")
    network = load_network(path, image_shape=SHAPE, classes=6)
    assert (network.dense, network.runtime) == (None, "keras")
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES),
        np.asarray(model(IMAGES.reshape(-1, *SHAPE))),
        atol=1e-5,
    )
    with pytest.raises(ShapeError, match="6 outputs, the data set 10"):
        load_network(path, image_shape=SHAPE, classes=10)
    (path / "more").write_bytes(b"x")
    with pytest.raises(NetworkError, match="has changed since it was loaded"):
        open_network(network)


def test_a_graph_that_mixes_the_images_of_a_batch_runs_one_at_a_time(tmp_path: Path) -> None:
    tf = load("tests.tensorflow_here:tensorflow")
    module = tf.Module()
    module.serve = tf.function(
        lambda images: (images - 0.5 * tf.reduce_mean(images, axis=0, keepdims=True))[:, :6],
        input_signature=[tf.TensorSpec((None, 60), tf.float32)],
    )
    with quiet_native():
        tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    network = load_network(tmp_path / "saved", image_shape=(60, 1, 1), classes=6)
    assert not network.apart
    np.testing.assert_array_equal(
        open_network(network).outputs(IMAGES), IMAGES[:, :6] * np.float32(0.5)
    )


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
    module.serve = tf.function(
        lambda images: images, input_signature=[tf.TensorSpec((None, 60), tf.float32)]
    )
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


def writes_when_restored(folder: Path, mark: Path) -> Path:
    """A SavedModel of one dense layer, one object of which writes a file when TensorFlow restores
    it."""
    tf = load("tests.tensorflow_here:tensorflow")

    class Restored(tf.__internal__.tracking.AutoTrackable):  # type: ignore[misc, name-defined]
        def _serialize_to_tensors(self) -> dict[str, Any]:
            return {"a": tf.constant(1.0)}

        def _restore_from_tensors(self, restored: Any) -> Any:
            name, value = tf.constant(str(mark)), [tf.constant(1.0)]
            tf.raw_ops.SaveV2(prefix=name, tensor_names=["x"], shape_and_slices=[""], tensors=value)
            return tf.constant(0)

    module = tf.Module()
    module.weights = tf.Variable(DENSE.layers[0].weights)
    module.restored = Restored()
    spec = [tf.TensorSpec((None, 60), tf.float32)]
    module.serve = tf.function(
        lambda images: tf.matmul(images, module.weights), input_signature=spec
    )
    with quiet_native():
        tf.saved_model.save(module, str(folder), signatures=module.serve)
    for left in mark.parent.glob(f"{mark.name}*"):
        left.unlink()
    return folder


def test_a_function_that_restores_an_object_is_never_run(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = writes_when_restored(tmp_path / "saved", mark)
    with pytest.raises(UnsupportedLayerError, match="restores itself by functions of its own"):
        load_network(path, image_shape=SHAPE, classes=16)
    network = Network(
        str(path), sha256_path(path), "savedmodel", "keras", 60, 16, SHAPE
    )  # as if it had been loaded
    with pytest.raises(UnsupportedLayerError):
        open_network(network)
    with pytest.raises(UnsupportedLayerError):
        quantised_bytes(network, "dynamic", None, SHAPE)
    assert not list(tmp_path.glob("mark*"))
    tf = load("tests.tensorflow_here:tensorflow")
    with quiet_native():
        tf.saved_model.load(str(path))
    assert list(tmp_path.glob("mark*")), (
        "TensorFlow's own loader does run it: the file is what it should be"
    )


def test_variables_come_from_the_bundle_as_tensorflow_restores_them(tmp_path: Path) -> None:
    tf = load("tests.tensorflow_here:tensorflow")
    module = tf.Module()
    first, second, third = (
        np.random.default_rng(n).random((60, 60)).astype(np.float32) for n in range(3)
    )
    module.b, module.a = tf.Variable(first), {"x": [tf.Variable(second)]}
    constant = tf.constant(third)

    def serve(images: Any) -> Any:
        return tf.matmul(tf.matmul(tf.matmul(images, module.a["x"][0]), constant), module.b)[:, :6]

    module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, 60), tf.float32)])
    with quiet_native():
        tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    network = load_network(tmp_path / "saved", image_shape=SHAPE, classes=6)
    assert (network.dense, network.runtime) == (None, "keras")
    found = open_network(network).outputs(IMAGES)
    np.testing.assert_allclose(found, (IMAGES @ second @ third @ first)[:, :6], rtol=1e-4)


@pytest.mark.parametrize("apart", [True, False])
def test_a_mean_over_the_batch_is_noticed(apart: bool, tmp_path: Path) -> None:
    tf = load("tests.tensorflow_here:tensorflow")
    module = tf.Module()
    kernel = tf.constant(DENSE.layers[0].weights)

    def serve(images: Any) -> Any:
        flat = tf.reshape(images, (-1, 60))
        return tf.tanh(tf.matmul(flat if apart else flat - tf.reduce_mean(flat, axis=0), kernel))

    module.serve = tf.function(serve, input_signature=[tf.TensorSpec((None, *SHAPE), tf.float32)])
    with quiet_native():
        tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    network = load_network(tmp_path / "saved", image_shape=SHAPE, classes=16)
    assert (network.dense, network.apart) == (None, apart)


def test_damaged_variables_get_one_line(tmp_path: Path) -> None:
    path = export(keras_model(DENSE, SHAPE), tmp_path / "saved")
    data = next((path / "variables").glob("variables.data*"))
    whole, rng = data.read_bytes(), np.random.default_rng(0)
    index = path / "variables" / "variables.index"
    listed = index.read_bytes()
    for _ in range(20):
        for file, content in ((data, whole), (index, listed)):
            broken = bytearray(content[: rng.integers(1, len(content) + 1)])
            broken[rng.integers(len(broken))] ^= 1 << int(rng.integers(8))
            file.write_bytes(broken)
            with pytest.raises(RelrobError) as caught:
                load_network(path, image_shape=SHAPE, classes=6)
            assert "\n" not in str(caught.value)
            file.write_bytes(content)
