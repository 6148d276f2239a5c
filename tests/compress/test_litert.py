"""LiteRT's schemes: what the files hold, against arithmetic written here and against the authors'
own file of 2020."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import Calibration
from relrob.compress.post_training.tflite_file import contents
from relrob.domain.network import Dense, Layout, Network
from relrob.errors import QuantiseError
from relrob.networks.accuracy import accuracy
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.registry import load
from relrob.system.quiet import quiet_native
from relrob_datasets import load as load_dataset
from tests import make_networks
from tests.support import random_dense, shared_data

SHAPE = (8, 8, 3)
DENSE = random_dense(3, (192, 40, 30, 10), softmax=True)
IMAGES = np.random.default_rng(1).random((300, 192), dtype=np.float32)
CALIBRATION = Calibration("noise", "train", tuple(range(100)), 1, IMAGES[:100])
SCHEMES = ("dynamic", "dynamic-per-channel", "int8", "int8-per-tensor", "int16x8", "float16")


def network_of(
    dense: Dense, layout: Layout = Layout.HWC, shape: tuple[int, int, int] = SHAPE
) -> Network:
    return Network(
        "net.h5",
        "",
        "keras1-h5",
        "onnxruntime",
        dense.inputs,
        dense.classes,
        shape,
        layout,
        dense=dense,
    )


def run(
    data: bytes, folder: Path, runtime: str, layout: Layout = Layout.HWC
) -> NDArray[np.float32]:
    """Outputs of IMAGES."""
    path = folder / "q.tflite"
    path.write_bytes(data)
    network = load_network(path, image_shape=SHAPE, classes=10, runtime=runtime, inherit=layout)
    return open_network(network).outputs(IMAGES)


def half_away(values: NDArray[np.float64]) -> NDArray[np.int8]:
    return (np.sign(values) * np.floor(np.abs(values) + 0.5)).astype(np.int8)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_each_scheme_is_what_its_name_says(
    scheme: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    data = quantised_bytes(network_of(DENSE), scheme, CALIBRATION, SHAPE)
    quantised_bytes(network_of(random_dense(8, (192, 60, 10))), "dynamic", None, SHAPE)
    assert quantised_bytes(network_of(DENSE), scheme, CALIBRATION, SHAPE) == data, (
        "the second conversion differs"
    )
    assert capfd.readouterr() == ("", ""), "TensorFlow's chatter"
    left = [path.name for path in (tmp_path / "temporary").iterdir()]
    assert all(name.startswith("__autograph") for name in left), (
        left
    )  # TensorFlow removes those when it ends
    path = tmp_path / "q.tflite"
    path.write_bytes(data)
    loaded = load_network(path, image_shape=SHAPE, classes=10)
    assert loaded.scheme == scheme
    found = make_networks.forward(DENSE, IMAGES).argmax(axis=1) == open_network(loaded).outputs(
        IMAGES
    ).argmax(axis=1)
    assert found.mean() > (0.99 if scheme == "float16" else 0.93)


@pytest.mark.parametrize(
    ("scheme", "ends", "activations", "types"),
    [
        (
            "dynamic",
            "float32",
            "float32",
            ["int8", "int8", "float32"],
        ),  # 30 x 10 = 300 elements stay float
        ("dynamic-per-channel", "float32", "float32", ["int8", "int8", "float32"]),
        ("int8", "int8", "int8", ["int8"] * 3),
        ("int8-per-tensor", "int8", "int8", ["int8"] * 3),
        ("int16x8", "float32", "int16", ["int8"] * 3),
        ("float16", "float32", "float32", ["float16"] * 3),
    ],
)
def test_weights_are_rounded_as_documented(
    scheme: str, ends: str, activations: str, types: list[str]
) -> None:
    found = contents(quantised_bytes(network_of(DENSE), scheme, CALIBRATION, SHAPE))
    assert set(found.inputs + found.outputs) == {ends}
    assert [weights.type for weights in found.weights] == types
    for stored, layer in zip(found.weights, DENSE.layers, strict=True):
        wide = layer.weights.T.astype(np.float64)
        if stored.type == "int8":
            assert stored.activations == activations
            one = scheme in ("dynamic", "int8-per-tensor")
            largest = np.abs(wide).max() if one else np.abs(wide).max(axis=1, keepdims=True)
            assert len(stored.scales) == (1 if one else len(wide))
            np.testing.assert_allclose(stored.scales, np.ravel(largest / 127), rtol=1e-6)
            assert np.array_equal(stored.values, half_away(wide * 127 / largest))
        else:
            assert np.array_equal(stored.values, layer.weights.T.astype(stored.values.dtype))


def test_run_time_inputs_of_the_papers_scheme_have_no_zero_point() -> None:
    for scheme, asymmetric in (("dynamic", False), ("dynamic-per-channel", True)):
        found = contents(quantised_bytes(network_of(DENSE), scheme, None, SHAPE))
        assert [weights.asymmetric for weights in found.weights if weights.type == "int8"] == [
            asymmetric
        ] * 2


@pytest.mark.parametrize("scheme", ["dynamic", "int8"])
def test_the_artefact_reads_pixels_in_the_order_of_its_reference(
    scheme: str, tmp_path: Path
) -> None:
    rows = quantised_bytes(network_of(DENSE), scheme, CALIBRATION, SHAPE)
    planes = quantised_bytes(network_of(DENSE, Layout.CHW), scheme, CALIBRATION, SHAPE)
    first, second = contents(rows).weights[0].values, contents(planes).weights[0].values
    assert np.array_equal(first.reshape(-1, *SHAPE).transpose(0, 3, 1, 2).reshape(40, -1), second)
    assert np.array_equal(
        run(rows, tmp_path, "builtin"), run(planes, tmp_path, "builtin", Layout.CHW)
    )


def test_a_network_too_small_is_refused_rather_than_shipped_in_float() -> None:
    tiny = network_of(random_dense(0, (12, 8, 10)), shape=(2, 2, 3))
    for scheme in ("dynamic", "dynamic-per-channel"):
        with pytest.raises(
            QuantiseError, match=r"nothing was quantised as dynamic.*1,024 elements"
        ):
            quantised_bytes(tiny, scheme, None, (2, 2, 3))
    calibration = replace(CALIBRATION, images=CALIBRATION.images[:, :12])
    assert {
        weights.type
        for weights in contents(quantised_bytes(tiny, "int8", calibration, (2, 2, 3))).weights
    } == {"int8"}


@pytest.mark.parametrize(
    ("written", "claimed", "words"),
    [
        ("float32", "int8", "nothing was quantised"),
        ("dynamic-per-channel", "dynamic", "zero point|scales"),
        ("dynamic-per-channel", "int8", "input and output"),
        ("dynamic", "int16x8", "stayed float32"),
        ("int8", "dynamic", "input and output"),
    ],
)
@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs:UserWarning")
def test_a_file_of_another_scheme_is_not_accepted(written: str, claimed: str, words: str) -> None:
    data = make_networks.convert(make_networks.keras_model(DENSE, SHAPE), written)
    with pytest.raises(QuantiseError, match=words):
        load("relrob.compress.post_training.litert:check")(contents(data), claimed, "a.tflite")


def black_box(folder: Path, suffix: str, lambda_code: bool = False) -> Path:
    """A small convolutional network as a Keras file, or a SavedModel directory."""
    keras = make_networks.keras()
    keras.utils.set_random_seed(0)
    middle = (
        keras.layers.Lambda(lambda value: value * 2)
        if lambda_code
        else keras.layers.MaxPooling2D(2)
    )
    layers = [
        keras.layers.Conv2D(16, 3, activation="relu"),
        middle,
        keras.layers.Flatten(),
        keras.layers.Dense(10),
    ]
    model = keras.Sequential([keras.Input(SHAPE), *layers])
    if not suffix:
        with quiet_native():
            model.export(folder / "cnn")
        return folder / "cnn"
    return make_networks.save(model, folder / f"cnn{suffix}")


@pytest.mark.parametrize("suffix", [".keras", ".h5", ""])
def test_black_boxes_are_converted_from_their_file(suffix: str, tmp_path: Path) -> None:
    network = load_network(black_box(tmp_path, suffix), image_shape=SHAPE, classes=10)
    assert network.dense is None
    truth = open_network(network).outputs(IMAGES).argmax(axis=1)
    for scheme, scales in (("int8", [16, 10]), ("int8-per-tensor", [1, 1]), ("dynamic", [1])):
        data = quantised_bytes(network, scheme, CALIBRATION, SHAPE)
        assert data == quantised_bytes(network, scheme, CALIBRATION, SHAPE)
        quantised = [weights for weights in contents(data).weights if weights.type == "int8"]
        assert [len(weights.scales) for weights in quantised] == scales
        assert (run(data, tmp_path, "xnnpack").argmax(axis=1) == truth).mean() > 0.85


def test_a_keras_file_with_code_in_it_is_refused(tmp_path: Path) -> None:
    path = black_box(tmp_path, ".keras", lambda_code=True)
    hand_made = replace(network_of(DENSE), path=str(path), format="keras", dense=None)
    with pytest.raises(QuantiseError, match="Lambda"), quiet_native():
        quantised_bytes(
            replace(hand_made, sha256=load("relrob.system.files:sha256_file")(path)),
            "int8",
            CALIBRATION,
            SHAPE,
        )


def test_an_onnx_black_box_is_sent_to_qdq(tmp_path: Path) -> None:
    with pytest.raises(QuantiseError, match="qdq"):
        quantised_bytes(
            replace(network_of(DENSE), format="onnx", dense=None), "int8", CALIBRATION, SHAPE
        )


def test_the_papers_mnist_network_of_2020(tmp_path: Path) -> None:
    source = shared_data("duncan2020/mnist_weights_keras1.h5")
    test = load_dataset("mnist", "test")
    reference = load_network(source, image_shape=test.image_shape, classes=10)
    data = quantised_bytes(reference, "dynamic", None, test.image_shape)
    assert reference.dense is not None
    for stored, layer in zip(contents(data).weights, reference.dense.layers, strict=True):
        wide = layer.weights.T.astype(np.float64)
        assert np.array_equal(stored.values, half_away(wide * 127 / np.abs(wide).max()))
    path = tmp_path / "q.tflite"
    path.write_bytes(data)
    network = load_network(path, image_shape=test.image_shape, classes=10, runtime="builtin")
    assert round(accuracy(open_network(network, 2), test.images, test.labels) * 10_000) == 9824


def test_the_authors_own_cifar_file_holds_our_integers() -> None:
    theirs = contents(shared_data("duncan2020/converted_model_cifar.tflite").read_bytes())
    source = shared_data("duncan2020/cifar10_weights_keras1.h5")
    reference = load_network(source, image_shape=(32, 32, 3), classes=10)
    ours = contents(quantised_bytes(reference, "dynamic", None, (32, 32, 3)))
    assert len(ours.weights) == len(theirs.weights) == 3
    for mine, his in zip(ours.weights, theirs.weights, strict=True):
        assert mine.type == his.type == "int8" and mine.asymmetric == his.asymmetric
        assert np.array_equal(mine.values, his.values)
        np.testing.assert_allclose(mine.scales, his.scales, rtol=1e-6)
