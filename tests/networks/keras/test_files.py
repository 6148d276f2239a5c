"""Files written by Keras itself, read without it, against Keras on the same file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from relrob.domain.network import Layout
from relrob.errors import NetworkError, RelrobError, ShapeError, UnsupportedLayerError, UsageError
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from tests.edit_keras import edited
from tests.make_networks import (
    forward,
    keras,
    keras_model,
    save,
    softmax,
    write_keras,
    write_keras1,
)
from tests.support import random_dense

SHAPE = (4, 5, 3)
DENSE = random_dense(3, (60, 16, 12, 6), softmax=True)
IMAGES = np.random.default_rng(4).random((37, 60), dtype=np.float32)


def sequential(*inner: Callable[[Any], Any], shape: tuple[int, ...] = SHAPE) -> Any:
    """Input, the layers, seeded random weights of every kind (positive where they are
    variances)."""
    package = keras()
    model = package.Sequential(
        [package.layers.Input(shape), *(make(package.layers) for make in inner)]
    )
    rng = np.random.default_rng(8)
    for layer in model.layers:
        if isinstance(layer, package.layers.Normalization):
            if layer.input_mean is None:
                layer.adapt(IMAGES.reshape(-1, *shape))
            continue
        for weight in layer.weights:
            low = 0.2 if "variance" in weight.path else -0.6
            weight.assign(rng.uniform(low, 0.6, weight.shape))
    return model


def functional() -> Any:
    """A chain, written as a graph."""
    layers = keras().layers
    start = layers.Input((60,))
    value = layers.Dense(9, activation="relu")(start)
    return keras().Model(start, layers.Softmax()(layers.Dense(6)(layers.Dropout(0.5)(value))))


READ: dict[str, tuple[Callable[[], Any], bool]] = {
    "sequential": (lambda: keras_model(DENSE, SHAPE), False),
    "functional, flat": (functional, False),
    "names against numbers": (
        lambda: sequential(
            lambda k: k.Flatten(),
            lambda k: k.Dense(8, "relu", name="dense_1"),
            lambda k: k.Dense(7, "relu", name="dense"),
            lambda k: k.Dense(6, name="dense_7", use_bias=False),
        ),
        False,
    ),
    "permuted": (
        lambda: sequential(
            lambda k: k.Permute((3, 1, 2)), lambda k: k.Flatten(), lambda k: k.Dense(6)
        ),
        False,
    ),
    "reshaped": (
        lambda: sequential(lambda k: k.Reshape((-1,)), lambda k: k.Dense(6, "softmax")),
        False,
    ),
    "flattened channels first": (
        lambda: sequential(lambda k: k.Flatten(data_format="channels_first"), lambda k: k.Dense(6)),
        False,
    ),
    "rescaled": (
        lambda: sequential(
            lambda k: k.Rescaling([2.0, 3.0, 4.0], offset=-0.5),
            lambda k: k.Normalization(mean=[0.1, 0.2, 0.3], variance=[0.5, 0.6, 0.7]),
            lambda k: k.Flatten(),
            lambda k: k.Dense(8),
            lambda k: k.ReLU(),
            lambda k: k.Dense(6),
            lambda k: k.Activation("softmax"),
        ),
        True,
    ),
    "adapted and batch-normalised": (
        lambda: sequential(
            lambda k: k.Normalization(),
            lambda k: k.Flatten(),
            lambda k: k.Dense(8),
            lambda k: k.BatchNormalization(),
            lambda k: k.Activation("relu"),
            lambda k: k.BatchNormalization(scale=False),
            lambda k: k.Dense(6),
        ),
        True,
    ),
}
BLACK_BOXES: dict[str, Callable[[], Any]] = {
    "convolution": lambda: sequential(
        lambda k: k.Conv2D(4, 2, activation="relu"),
        lambda k: k.GlobalAveragePooling2D(),
        lambda k: k.Dense(6),
    ),
    "tanh": lambda: sequential(
        lambda k: k.Flatten(), lambda k: k.Dense(8, "tanh"), lambda k: k.Dense(6)
    ),
    "leaky": lambda: sequential(
        lambda k: k.Flatten(), lambda k: k.Dense(8), lambda k: k.LeakyReLU(), lambda k: k.Dense(6)
    ),
}


def by_keras(model: Any) -> Any:
    """What the model in memory computes."""
    return np.asarray(model(IMAGES.reshape(-1, *model.input_shape[1:])))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", READ)
def test_mlps_are_read_as_keras_computes_them(name: str, suffix: str, tmp_path: Path) -> None:
    make, folded = READ[name]
    model = make()
    path = save(model, tmp_path / f"n{suffix}")
    network = load_network(path, image_shape=SHAPE, classes=6)
    assert network.dense is not None
    runtime, conversion = (
        ("keras", "") if folded else ("onnxruntime", "as ONNX: plain dense layers")
    )
    assert (network.runtime, network.layout, network.folded) == (runtime, Layout.HWC, folded)
    assert (network.conversion, network.black_box) == (conversion, "")
    assert network.format == ("keras" if suffix == ".keras" else "keras-h5")
    expected = by_keras(model)
    logits = forward(network.dense, IMAGES)
    np.testing.assert_allclose(
        softmax(logits) if network.dense.softmax else logits, expected, rtol=2e-4, atol=1e-5
    )
    runs = expected if folded else logits  # exported to ONNX, a network gives its logits
    np.testing.assert_allclose(open_network(network, 2).outputs(IMAGES), runs, rtol=2e-4, atol=1e-5)
    on_keras = load_network(path, image_shape=SHAPE, classes=6, runtime="keras")
    assert on_keras.dense is not None
    np.testing.assert_allclose(
        open_network(on_keras, batch=10).outputs(IMAGES), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
@pytest.mark.parametrize("name", BLACK_BOXES)
def test_other_models_run_on_keras(name: str, suffix: str, tmp_path: Path) -> None:
    model = BLACK_BOXES[name]()
    network = load_network(save(model, tmp_path / f"n{suffix}"), image_shape=SHAPE, classes=6)
    assert (network.dense, network.runtime) == (None, "keras")
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES), by_keras(model), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(UsageError, match=r"runtime 'onnxruntime' cannot run .* accepted: keras"):
        load_network(tmp_path / f"n{suffix}", image_shape=SHAPE, classes=6, runtime="onnxruntime")


def test_layers_that_augment_images_in_training_do_nothing(tmp_path: Path) -> None:
    model = sequential(
        *(lambda k: k.RandomFlip(), lambda k: k.RandomRotation(0.2), lambda k: k.RandomZoom(0.2)),
        *(lambda k: k.RandomTranslation(0.2, 0.2), lambda k: k.RandomContrast(0.2)),
        lambda k: k.RandomBrightness(0.2, value_range=(0, 1)),
        *(lambda k: k.Flatten(), lambda k: k.Dense(6)),
    )
    network = load_network(save(model, tmp_path / "n.keras"), image_shape=SHAPE, classes=6)
    assert network.apart
    found = open_network(network).outputs(IMAGES)
    kernel, bias = model.layers[-1].get_weights()
    np.testing.assert_allclose(found, IMAGES @ kernel + bias, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        found, model.predict(IMAGES.reshape(-1, *SHAPE), verbose=0), rtol=1e-5, atol=1e-6
    )


def test_a_fixed_batch_runs_padded_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    layers = keras().layers
    model = keras().Sequential(
        [layers.Input(batch_shape=(4, *SHAPE)), layers.Flatten(), layers.Dense(6, "tanh")]
    )
    network = load_network(save(model, tmp_path / "n.keras"), image_shape=SHAPE, classes=6)
    evaluator = open_network(network)
    assert (evaluator.best_batch, "fixed batch" in caplog.text) == (4, True)
    kernel, bias = model.get_weights()
    np.testing.assert_allclose(
        evaluator.outputs(IMAGES), np.tanh(IMAGES @ kernel + bias), atol=1e-5
    )


def test_keras_1_weights_read_channels_first(tmp_path: Path) -> None:
    network = load_network(write_keras1(DENSE, tmp_path / "n.h5"), image_shape=SHAPE, classes=6)
    assert (network.format, network.layout, network.runtime) == (
        "keras1-h5",
        Layout.CHW,
        "onnxruntime",
    )
    turned = IMAGES.reshape(-1, *SHAPE).transpose(0, 3, 1, 2).reshape(-1, 60)
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES), forward(DENSE, turned), atol=1e-5
    )
    forced = load_network(tmp_path / "n.h5", image_shape=SHAPE, classes=6, layout="hwc")
    np.testing.assert_allclose(
        open_network(forced).outputs(IMAGES), forward(DENSE, IMAGES), atol=1e-5
    )
    with pytest.raises(UsageError, match="runtime 'keras' cannot run"):
        load_network(tmp_path / "n.h5", image_shape=SHAPE, classes=6, runtime="keras")


def rewritten(
    path: Path, change: Callable[[dict[str, Any]], Any], weights: Callable[[Any], Any] | None = None
) -> Path:
    """A `.keras` file with its configuration or its weights changed."""
    return edited(path, change, path.with_name("changed.keras"), weights)


def layer(config: dict[str, Any], index: int) -> dict[str, Any]:
    """A layer of the configuration, 0 for the input."""
    found: dict[str, Any] = config["config"]["layers"][index]
    return found


def nothing(config: dict[str, Any]) -> None:
    """Leave the configuration as it is."""


def with_nan(file: Any) -> None:
    """One weight that is not a number."""
    file["layers/dense_1/vars/0"][2, 3] = np.nan


def outside(file: Any) -> None:
    """Weights that lie in another file."""
    del file["layers/dense/vars/0"]
    file["layers/dense/vars"].create_dataset(
        "0", (60, 16), "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)]
    )


def gone(file: Any) -> None:
    """A missing array."""
    del file["layers/dense_2/vars/1"]


CHANGES: dict[
    str, tuple[Callable[[dict[str, Any]], Any], Callable[[Any], Any] | None, type[RelrobError], str]
] = {
    "lambda": (
        lambda c: layer(c, 2).update(class_name="Lambda"),
        None,
        UnsupportedLayerError,
        r"layer 3 'd0' \(Lambda\)",
    ),
    "custom": (
        lambda c: layer(c, 2).update(class_name="Mine"),
        None,
        UnsupportedLayerError,
        r"layer 3 'd0' \(Mine\)",
    ),
    "foreign module": (
        lambda c: layer(c, 2).update(module="os"),
        None,
        UnsupportedLayerError,
        "of module 'os'",
    ),
    "function": (
        lambda c: layer(c, 2)["config"].update(
            activation={"module": "keras.utils", "class_name": "function", "config": "get_file"}
        ),
        None,
        UnsupportedLayerError,
        r"layer 3 'd0' \(Dense\) holds 'function'",
    ),
    "quantised": (
        lambda c: layer(c, 3)["config"].update(
            quantization_config={"class_name": "Int8QuantizationConfig", "config": {}}
        ),
        None,
        UnsupportedLayerError,
        "layer 4 'd1'.* quantised by Keras",
    ),
    "units": (
        lambda c: layer(c, 3)["config"].update(units=13),
        None,
        NetworkError,
        r"layer 4 'd1' \(Dense\).*\(16, 12\)",
    ),
    "no layers": (
        lambda c: c["config"].pop("layers"),
        None,
        NetworkError,
        "no readable Keras configuration",
    ),
    "subclassed": (
        lambda c: c.update(class_name="MyModel"),
        None,
        NetworkError,
        "holds a 'MyModel'",
    ),
    "bytes in": (
        lambda c: layer(c, 0)["config"].update(dtype="uint8"),
        None,
        NetworkError,
        "reads uint8 pixels",
    ),
    "nan": (nothing, with_nan, NetworkError, "NaN or infinite weights"),
    "outside": (nothing, outside, NetworkError, "keeps its data in another file"),
    "gone": (nothing, gone, NetworkError, "layer 5 'd2'.*1 weight arrays"),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good file."""
    return write_keras(DENSE, tmp_path_factory.mktemp("keras") / "n.keras", SHAPE)


@pytest.mark.parametrize("name", CHANGES)
def test_changed_files_get_one_line(name: str, plain: Path) -> None:
    change, weights, kind, message = CHANGES[name]
    path = rewritten(plain, change, weights)
    with pytest.raises(kind, match=message) as caught:
        load_network(path, image_shape=SHAPE, classes=6)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_lambda_layers_that_keras_wrote_are_refused(suffix: str, tmp_path: Path) -> None:
    model = sequential(
        lambda k: k.Flatten(), lambda k: k.Lambda(abs, name="mine"), lambda k: k.Dense(6)
    )
    with pytest.raises(UnsupportedLayerError, match=r"layer 3 'mine' \(Lambda\)"):
        load_network(save(model, tmp_path / f"n{suffix}"), image_shape=SHAPE, classes=6)


def test_a_lambda_inside_a_model_inside_is_refused(tmp_path: Path) -> None:
    model = sequential(
        lambda k: keras().Sequential([k.Flatten(), k.Lambda(abs, name="deep")]),
        lambda k: k.Dense(6),
    )
    with pytest.raises(UnsupportedLayerError, match="'Lambda'"):
        load_network(save(model, tmp_path / "n.keras"), image_shape=SHAPE, classes=6)


def test_sizes_must_fit(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="4x5x3 values, the images have 28x28x1 = 784"):
        load_network(plain, image_shape=(28, 28, 1), classes=6)
    with pytest.raises(ShapeError, match="6 outputs, the data set 10 classes"):
        load_network(plain, image_shape=SHAPE, classes=10)
    layers = keras().layers
    left, right = layers.Input((60,)), layers.Input((60,))
    two = keras().Model([left, right], layers.Dense(6)(layers.Add()([left, right])))
    with pytest.raises(ShapeError, match="2 inputs"):
        load_network(save(two, tmp_path / "n.keras"), image_shape=SHAPE, classes=6)


def there_and_back(offset: float) -> Any:
    """A constant is added and taken away again before a dense layer."""
    layers = keras().layers
    there, back = layers.Rescaling(1.0, offset=offset), layers.Rescaling(1.0, offset=-offset)
    return sequential(lambda _: there, lambda _: back, lambda k: k.Flatten(), lambda k: k.Dense(6))


def test_keras_traced_and_step_by_step_are_one_network_or_none(tmp_path: Path) -> None:
    """TensorFlow merges the constants of a traced model, as if nothing were rounded between them: +
    1e7 - 1e7 is then nothing."""
    for offset, alike in ((1.0, True), (1e7, False)):
        model = there_and_back(offset)
        model.save(tmp_path / "m.keras")
        images = np.random.default_rng(0).random((20, *SHAPE), dtype=np.float32)
        stepped, traced = (
            np.asarray(model(images, training=False)),
            model.predict(images, verbose=0),
        )
        assert bool(np.allclose(stepped, traced, rtol=0, atol=1e-3)) is alike
        network = load_network(tmp_path / "m.keras", image_shape=SHAPE, classes=6)
        assert network.runtime == "keras"
        if not alike:
            with pytest.raises(NetworkError, match="step by step"):
                open_network(network)
            continue
        assert np.allclose(
            open_network(network).outputs(images.reshape(20, -1)), stepped, rtol=0, atol=1e-5
        )
