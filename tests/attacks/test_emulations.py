"""Gradients of quantised files, from the steps of the file: its logits, TensorFlow's own fake
quantisation, and finite differences of float files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

from relrob.attacks.chain_gradients import ChainGradients
from relrob.attacks.model_of import EMULATION, agreement, gradients_of
from relrob.attacks.victim import Gradients
from relrob.domain.arrays import Floats
from relrob.domain.contract import InputOptions
from relrob.domain.network import Network
from relrob.networks.fixed.file import write_fixed
from relrob.networks.fixed.network import from_float
from relrob.networks.flow import Affine, Clip, Flow, Product, Rounded, RowRounded, Shaped
from relrob.networks.load import load_network
from relrob.networks.weighted import Codes
from relrob.registry import load
from tests.attacks.floats import floats
from tests.attacks.test_gradients import SHAPE, close, drawn, opened
from tests.make_networks import convert, keras, save, softmax, write_tflite
from tests.support import numpy_opened, random_dense, shared_data

CLASSES = 4


def cosines(one: Floats, other: Floats) -> Any:
    """The cosine of each pair of rows."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return (one * other).sum(axis=1) / np.maximum(lengths, 1e-12)


def gradient(model: Gradients, images: Floats) -> Floats:
    weights = floats([1, -2, 0.5, 0.25])
    return model.pulled(images, lambda logits: np.broadcast_to(weights, logits.shape))[1]


def emulated(path: Path, **options: Any) -> tuple[Network, Gradients]:
    network = load_network(path, image_shape=SHAPE, classes=CLASSES, **options)
    model = gradients_of(network)
    assert model is not None and model.name == EMULATION
    return network, model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("emulations")


@pytest.fixture(scope="module")
def cnn(folder: Path) -> Any:
    """A small CNN with a shortcut and every kind of layer that is read."""
    kit = keras()
    kit.utils.set_random_seed(7)
    layers = kit.layers
    image = layers.Input(SHAPE)
    first = layers.Conv2D(6, 3, padding="same", activation="relu")(image)
    found = layers.DepthwiseConv2D(3, padding="same")(first)
    found = layers.ReLU()(layers.BatchNormalization()(found))
    found = layers.Add()([found, first])
    found = layers.Conv2D(5, 3, strides=2, padding="same", activation="relu")(found)
    found = layers.AveragePooling2D(2, padding="same", strides=1)(found)
    found = layers.MaxPooling2D(2, padding="same", strides=1)(found)
    found = layers.Flatten()(found)
    return kit.Model(image, layers.Dense(CLASSES, activation="softmax")(found))


@pytest.mark.parametrize("scheme", ["float32", "dynamic", "int8", "int16x8"])
def test_a_tflite_cnn(cnn: Any, folder: Path, scheme: str) -> None:
    path = folder / f"cnn_{scheme}.tflite"
    path.write_bytes(convert(cnn, scheme))
    network, model = emulated(path)
    images = drawn(40, 48)
    assert model.exact == (scheme in ("float32", "float16", "dynamic"))
    near = {"float32": 1e-4, "int8": 2e-2}.get(scheme, 1e-2)
    outputs = opened(network).evaluator.outputs(images)
    assert np.allclose(softmax(model.logits(images).astype(np.float64)), outputs, atol=near)
    assert agreement(model, opened(network), images) >= 0.95
    source = load_network(save(cnn, folder / "cnn.keras"), image_shape=SHAPE, classes=CLASSES)
    taped = gradients_of(source)
    assert taped is not None and taped.name == "GradientTape"
    same = cosines(gradient(model, images), gradient(taped, images))
    assert np.median(same) > (0.9999 if scheme == "float32" else 0.98)


@pytest.mark.parametrize(
    "scheme", ["float32", "float16", "dynamic", "dynamic-per-channel", "int8", "int16x8"]
)
def test_a_tflite_mlp_without_tensorflow(folder: Path, scheme: str) -> None:
    dense = random_dense(3, (48, 40, CLASSES))
    path = write_tflite(dense, folder / f"mlp_{scheme}.tflite", SHAPE, scheme)
    network, model = emulated(path)
    assert isinstance(model, ChainGradients)
    images = drawn(200, 48)
    outputs = opened(network).evaluator.outputs(images)
    near = {"float32": 1e-5, "int8": 0.03 * np.abs(outputs).max()}.get(scheme, 2e-2)
    assert np.allclose(model.logits(images), outputs, atol=near)
    assert agreement(model, opened(network), images) >= 0.97
    if scheme == "float32":
        assert model.exact and close(model, images[:6])
    float_one = gradients_of(numpy_opened(dense, SHAPE).network)
    assert float_one is not None
    assert np.median(cosines(gradient(model, images), gradient(float_one, images))) > 0.99


def test_straight_through_gradients_are_tensorflows_fake_quantisation() -> None:
    tf = load("tests.tensorflow_here:tensorflow")
    dense = random_dense(5, (48, 30, CLASSES))
    codes = [Codes("x", 1 / 200, -20, -128, 127), Codes("h", 1 / 60, -128, -128, 127)]
    codes.append(Codes("y", 1 / 60, 0, -128, 127))
    first, last = dense.layers
    flow = Flow(
        (48,),
        (
            Rounded(0, codes[0]),
            Product(1, first.weights, first.bias),
            Rounded(2, codes[1]),
            Product(3, last.weights, last.bias),
            Rounded(4, codes[2]),
        ),
    )

    def fake(values: Any, of: Codes) -> Any:
        return tf.quantization.fake_quant_with_min_max_vars(values, of.bottom, of.top)

    images = drawn(300, 48)
    values = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(values)
        hidden = fake(fake(values, codes[0]) @ first.weights + first.bias, codes[1])
        logits = fake(hidden @ last.weights + last.bias, codes[2])
        total = tf.reduce_sum(logits * tf.constant([1, -2, 0.5, 0.25]))
    expected = tape.gradient(total, values).numpy()
    assert np.mean(expected == 0) > 0.01  # some pixels are beyond the codes
    network = numpy_opened(dense, SHAPE).network
    for model in (
        ChainGradients(network, flow, "steps"),
        load("relrob.attacks.flow_gradients:flow_gradients")(network, flow, "steps"),
    ):
        near = np.abs(model.logits(images) - logits.numpy()) < 1e-4
        assert near.mean() > 0.95  # a rounding may fall to the other side
        same = near.all(axis=1)
        assert np.allclose(gradient(model, images)[same], expected[same], atol=1e-4)
    ended = gradient(ChainGradients(network, flow.ended(), "steps"), images)
    assert np.all(np.abs(ended).sum(axis=1) > 0)


def test_both_back_ends_give_a_chain_the_same_gradients() -> None:
    dense = random_dense(6, (48, 20, CLASSES))
    first, last = dense.layers
    flow = Flow(
        (4, 4, 3),
        (
            Affine(0, floats(2), floats(-1)),
            Shaped(1, (48,)),
            RowRounded(2, symmetric=False),
            Product(3, first.weights, first.bias),
            Clip(4, -0.5, 1.5),
            RowRounded(5, symmetric=True),
            Product(6, last.weights, last.bias),
        ),
    )
    assert flow.chain and flow.rounds
    network = numpy_opened(dense, SHAPE).network
    network = replace(network, contract=InputOptions(bgr=True).over(network.contract))
    images = drawn(50, 48)
    one = ChainGradients(network, flow, "steps")
    other = load("relrob.attacks.flow_gradients:flow_gradients")(network, flow, "steps")
    assert np.mean(np.abs(one.logits(images) - other.logits(images)) < 1e-4) > 0.95
    assert np.median(cosines(gradient(one, images), gradient(other, images))) > 0.9999


@pytest.mark.parametrize("bits", [6, 8])
def test_a_fixed_point_network_bit_for_bit(folder: Path, bits: int) -> None:
    dense = random_dense(8, (48, 24, CLASSES))
    fixed = from_float(
        dense, bits=bits, weight_fraction=bits - 2, bias_fraction=3, activation_fraction=3
    )
    path = folder / f"fixed{bits}.npz"
    write_fixed(fixed, path)
    network, model = emulated(path)
    images = drawn(300, 48)
    outputs = fixed.outputs(images)
    factor = np.median(model.logits(images)[outputs != 0] / outputs[outputs != 0])
    assert 0 < factor <= 1 and np.array_equal(model.logits(images), outputs * factor)
    assert agreement(model, opened(network), images) == 1
    float_one = gradients_of(numpy_opened(dense, SHAPE).network)
    assert float_one is not None
    assert np.median(cosines(gradient(model, images), gradient(float_one, images))) > 0.8


def onnx_cnn(path: Path) -> Path:
    """A CNN with a shortcut, in ONNX."""
    rng = np.random.default_rng(9)

    def weights(*shape: int) -> Floats:
        return floats(1.5 * rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:])))

    constants: dict[str, Any] = {
        "k0": weights(6, 3, 3, 3),
        "b0": weights(6),
        "gamma": np.abs(weights(6)) + 0.5,
        "beta": weights(6),
        "mean": weights(6),
        "variance": np.abs(weights(6)) + 0.5,
        "k1": weights(6, 1, 3, 3),
        "w": weights(CLASSES, 6 * 2 * 2),
        "c": weights(CLASSES),
    }
    make = helper.make_node
    nodes = [
        make("Conv", ["x", "k0", "b0"], ["c0"], pads=[1, 1, 1, 1]),
        make("BatchNormalization", ["c0", "gamma", "beta", "mean", "variance"], ["n0"]),
        make("Relu", ["n0"], ["r0"]),
        make("Conv", ["r0", "k1"], ["c1"], group=6, auto_pad="SAME_UPPER"),
        make("Add", ["c1", "r0"], ["s"]),
        make("Relu", ["s"], ["r1"]),
        make("MaxPool", ["r1"], ["m"], kernel_shape=[2, 2], strides=[1, 1], pads=[0, 0, 1, 1]),
        make("AveragePool", ["m"], ["a"], kernel_shape=[2, 2], strides=[2, 2]),
        make("Flatten", ["a"], ["f"]),
        make("Gemm", ["f", "w", "c"], ["z"], transB=1),
        make("Softmax", ["z"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "cnn",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", CLASSES])],
        [
            numpy_helper.from_array(array.astype(np.float32), name)
            for name, array in constants.items()
        ],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, path)
    return path


class Noise(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Seeded images for onnxruntime's quantiser."""

    def __init__(self) -> None:
        self._left = iter(drawn(64, 48, seed=2).reshape(64, 1, 3, 4, 4))

    def get_next(self) -> Any:
        image = next(self._left, None)
        return None if image is None else {"x": image}


FORMS: dict[str, Callable[[Path, Path], Any]] = {
    "float": shutil.copyfile,
    "qdq": lambda source, path: quantization.quantize_static(
        source, path, Noise(), quant_format=quantization.QuantFormat.QDQ
    ),
    "qoperator": lambda source, path: quantization.quantize_static(
        source, path, Noise(), quant_format=quantization.QuantFormat.QOperator
    ),
    "dynamic": quantization.quantize_dynamic,
}


@pytest.mark.parametrize("form", FORMS)
def test_an_onnx_cnn(folder: Path, form: str) -> None:
    source = onnx_cnn(folder / "cnn.onnx")
    path = folder / f"cnn_{form}.onnx"
    FORMS[form](source, path)
    network, model = emulated(path)
    assert model.exact == (form == "float")
    images = drawn(100, 48)
    outputs = opened(network).evaluator.outputs(images)
    found = softmax(model.logits(images).astype(np.float64))
    assert np.allclose(found, outputs, atol=1e-5 if form == "float" else 0.06)
    assert agreement(model, opened(network), images) >= 0.95
    if form == "float":
        assert close(model, images[:6])
        return
    float_one = emulated(source)[1]
    assert np.median(cosines(gradient(model, images), gradient(float_one, images))) > 0.95


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("mlp_dynamic_wi8.tflite", 1.0),
        ("mlp_dynamic_wi4.tflite", 1.0),
        ("mlp_static_wi8_ai8.tflite", 0.99),
        ("mlp_static_wi8_ai16.tflite", 1.0),
        ("conv_fc_mnist_srq_a8w8.tflite", 0.99),
        ("mlp_dyn.onnx", 1.0),
        ("mlp_qdq_u8s8.onnx", 0.99),
        ("mlp_qop_u8s8.onnx", 0.99),
        ("mlp_nbits_4.onnx", 1.0),
    ],
)
def test_real_files_agree_with_their_emulation(name: str, least: float, mnist: Floats) -> None:
    path = shared_data(f"quantised_formats/{name}")
    network = load_network(path, image_shape=(28, 28, 1), classes=10)
    model = gradients_of(network)
    assert model is not None
    assert agreement(model, opened(network), mnist) >= least


@pytest.fixture(scope="module")
def mnist() -> Floats:
    images = load("relrob_datasets:load")("mnist").images[:100]
    return np.asarray(images, np.float32).reshape(100, -1)


def test_resnet8_int8_reads_levels_and_agrees() -> None:
    path = shared_data("mlperf_tiny/pretrainedResnet_quant.tflite")
    held = np.load(shared_data("cifar10/cifar10_test.npz"))
    images = (held["x_test"][:60] / np.float32(255)).astype(np.float32).reshape(60, -1)
    network = load_network(
        path, image_shape=(32, 32, 3), classes=10, inputs=InputOptions(scale=Fraction(255))
    )
    model = gradients_of(network)
    assert model is not None and not model.exact
    assert agreement(model, opened(network), images) >= 0.95
    gradients = gradient_of_first(model, images)
    assert np.all(np.abs(gradients).max(axis=1) > 0)


def gradient_of_first(model: Gradients, images: Floats) -> Floats:
    weights = np.eye(10, dtype=np.float32)[0]
    return model.pulled(images, lambda logits: np.broadcast_to(weights, logits.shape))[1]


def test_a_file_that_is_not_read_has_no_gradients(folder: Path) -> None:
    kit = keras()
    layers = kit.layers
    path = folder / "tanh.tflite"
    stack = kit.Sequential([layers.Input(SHAPE), layers.Flatten(), layers.Dense(CLASSES, "tanh")])
    path.write_bytes(convert(stack))
    network = load_network(path, image_shape=SHAPE, classes=CLASSES)
    assert gradients_of(network) is None
