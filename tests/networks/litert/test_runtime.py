"""LiteRT files on the three runtimes, against NumPy and against one image at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from relrob.domain.network import Arithmetic, Layout
from relrob.errors import NetworkError, RelrobError, ShapeError, UnsupportedLayerError, UsageError
from relrob.networks.litert.interpreter import dequantised, quantised
from relrob.networks.load import load_network
from relrob.networks.open import open_network
from relrob.networks.probes import probed
from relrob.system.quiet import quiet_native
from tests.make_networks import convert, forward, keras, keras_model, softmax, write_tflite
from tests.support import random_dense

SHAPE = (4, 4, 3)
DENSE = random_dense(0, (48, 64, 32, 5), softmax=True)
IMAGES = np.random.default_rng(1).random((70, 48), dtype=np.float32)
RUNTIMES = ("xnnpack", "builtin", "reference")
SCHEMES = {
    "float32": ("float32", Arithmetic.FLOAT32, 1e-6),
    "float16": ("float16", Arithmetic.FLOAT32, 1e-3),
    "dynamic": ("dynamic", Arithmetic.INTEGER, 0.02),
    "dynamic-per-channel": ("dynamic-per-channel", Arithmetic.INTEGER, 0.02),
    "int8": ("int8", Arithmetic.INTEGER, 0.2),
    "int16x8": ("int16x8", Arithmetic.INTEGER, 0.1),
}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file a scheme."""
    folder = tmp_path_factory.mktemp("litert")
    return {
        scheme: write_tflite(DENSE, folder / f"{scheme}.tflite", SHAPE, scheme)
        for scheme in SCHEMES
    }


def one_by_one(path: Path) -> Any:
    """LiteRT itself on the default runtime, image by image, without relrob (float files)."""
    with quiet_native():
        interpreter = Interpreter(model_path=str(path))
        interpreter.allocate_tensors()
    given, result = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for image in IMAGES:
        interpreter.set_tensor(given["index"], image.reshape(given["shape"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(result["index"])[0])
    return np.stack(rows)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_are_told_apart_and_run_on_every_runtime(
    scheme: str, files: dict[str, Path]
) -> None:
    name, arithmetic, tolerance = SCHEMES[scheme]
    expected = softmax(forward(DENSE, IMAGES))
    for runtime in RUNTIMES:
        network = load_network(files[scheme], image_shape=SHAPE, classes=5, runtime=runtime)
        assert (network.scheme, network.arithmetic, network.format) == (name, arithmetic, "tflite")
        assert (network.dense, network.layout, network.runtime) == (None, Layout.HWC, runtime)
        evaluator = open_network(network, 2)
        outputs = evaluator.outputs(IMAGES)
        np.testing.assert_allclose(outputs, expected, atol=tolerance)
        alone = open_network(network, batch=1)
        assert alone.best_batch == 1
        np.testing.assert_allclose(alone.outputs(IMAGES), outputs, atol=3e-7)
        np.testing.assert_array_equal(
            evaluator.outputs(IMAGES[:3]), outputs[:3], "no stale rows in a short batch"
        )
    assert load_network(files[scheme], image_shape=SHAPE, classes=5).runtime == "xnnpack"


@pytest.mark.parametrize("scheme", ["float32", "dynamic"])
def test_batches_give_what_litert_gives_image_by_image(scheme: str, files: dict[str, Path]) -> None:
    network = load_network(files[scheme], image_shape=SHAPE, classes=5)
    np.testing.assert_allclose(
        open_network(network).outputs(IMAGES), one_by_one(files[scheme]), rtol=0, atol=3e-7
    )
    np.testing.assert_array_equal(
        open_network(network, batch=1).outputs(IMAGES), one_by_one(files[scheme])
    )


def test_integers_round_half_to_even_and_clip() -> None:
    details = {"dtype": np.int8, "quantization": (0.5, -3)}
    values = np.array([[0.25, 0.75, 1.0, -1000.0, 1000.0]], np.float32)
    assert quantised(values, details).tolist() == [[-3, -1, -1, -128, 127]]
    outputs = dequantised(np.array([-128, -3, 127], np.int8), details)
    assert outputs.dtype == np.float32
    assert outputs.tolist() == [-62.5, 0.0, 65.0]
    wide = np.arange(-(2**15), 2**15).astype(np.int16)
    assert (np.diff(dequantised(wide, {"quantization": (0.0073, 0)})) > 0).all(), "order is kept"


def test_a_graph_of_fixed_batch_runs_one_by_one_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    layers = keras().layers
    inner = keras_model(DENSE, SHAPE)
    start = layers.Input(batch_shape=(1, *SHAPE))
    value = keras().ops.reshape(start, (1, 48))
    for layer in inner.layers[1:]:
        value = layer(value)
    path = tmp_path / "fixed.tflite"
    path.write_bytes(convert(keras().Model(start, value)))
    for runtime in RUNTIMES:
        caplog.clear()
        network = probed(load_network(path, image_shape=SHAPE, classes=5, runtime=runtime))
        evaluator = open_network(network)
        assert evaluator.best_batch == 1
        assert "run one by one" in caplog.text
        np.testing.assert_allclose(
            evaluator.outputs(IMAGES), softmax(forward(DENSE, IMAGES)), atol=1e-6
        )


def test_what_does_not_fit_is_refused(files: dict[str, Path], tmp_path: Path) -> None:
    data = files["float32"].read_bytes()
    with pytest.raises(ShapeError, match=r"4x4x3 values, the images have 28x28x1 = 784"):
        load_network(files["float32"], image_shape=(28, 28, 1), classes=5)
    with pytest.raises(ShapeError, match="5 outputs, the data set 10 classes"):
        load_network(files["float32"], image_shape=SHAPE, classes=10)
    with pytest.raises(UsageError, match="accepted: xnnpack, builtin, reference"):
        load_network(files["float32"], image_shape=SHAPE, classes=5, runtime="onnxruntime")
    for cut in (9, 40, 400, len(data) // 2):
        (tmp_path / "cut.tflite").write_bytes(data[:cut])
        with pytest.raises(NetworkError, match=r"not a whole \.tflite file|LiteRT"):
            open_network(load_network(tmp_path / "cut.tflite", image_shape=SHAPE, classes=5))
    weights = DENSE.layers[1].weights.T.copy().tobytes()
    assert data.count(weights) == 1
    (tmp_path / "nan.tflite").write_bytes(
        data.replace(weights, np.full(64 * 32, np.nan, np.float32).tobytes())
    )
    with pytest.raises(NetworkError, match="NaN or infinite weights"):
        load_network(tmp_path / "nan.tflite", image_shape=SHAPE, classes=5)


def test_a_file_that_changed_is_not_run(files: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "n.tflite"
    path.write_bytes(files["float32"].read_bytes())
    network = load_network(path, image_shape=SHAPE, classes=5)
    path.write_bytes(files["dynamic"].read_bytes())
    with pytest.raises(NetworkError, match="has changed since it was loaded"):
        open_network(network)
    kept = open_network(network, data=files["float32"].read_bytes())
    np.testing.assert_allclose(kept.outputs(IMAGES), softmax(forward(DENSE, IMAGES)), atol=1e-6)


def edited(data: bytes, change: Callable[[Any], None]) -> bytes:
    """A `.tflite` file with its flat buffer changed."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    change(model)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def custom(model: Any) -> None:
    """The second kind of operator becomes one that LiteRT does not have."""
    code = model.operatorCodes[model.subgraphs[0].operators[1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = "FlexErfinv"


def looped(model: Any) -> None:
    """The second kind of operator becomes a loop."""
    code = model.operatorCodes[model.subgraphs[0].operators[1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.WHILE


def words(model: Any) -> None:
    """The input is text."""
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = schema.TensorType.STRING


def scaleless(model: Any) -> None:
    """The input is int8, but no scale says what it means."""
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].type = schema.TensorType.INT8


def coded(scale: float, zero: int) -> Callable[[Any], None]:
    """The output is int8, with codes of that scale and zero point."""

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        tensor = graph.tensors[graph.outputs[0]]
        tensor.type = schema.TensorType.INT8
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = [scale]
        tensor.quantization.zeroPoint = [zero]

    return change


def twice(model: Any) -> None:
    """Two outputs."""
    graph = model.subgraphs[0]
    graph.outputs = [graph.outputs[0], graph.outputs[0]]


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (custom, UnsupportedLayerError, "operator [12] is the custom operator 'FlexErfinv'"),
        (looped, UnsupportedLayerError, "operator [12] is a loop"),
        (words, NetworkError, "string inputs"),
        (scaleless, NetworkError, "int8 inputs without a scale"),
        (twice, ShapeError, "2 outputs"),
        # (q - zero point) * scale would overflow, or be one float32 for two codes.
        (coded(0.1, -(2**31)), NetworkError, "int8 outputs with the zero point -2147483648"),
        (coded(0.1, 128), NetworkError, "zero point 128; accepted: -128 to 127"),
        (coded(3e38, 0), NetworkError, "int8 outputs of scale 3e"),
    ],
)
def test_what_litert_would_not_run_is_named(
    change: Callable[[Any], None],
    kind: type[RelrobError],
    message: str,
    files: dict[str, Path],
    tmp_path: Path,
) -> None:
    (tmp_path / "n.tflite").write_bytes(edited(files["float32"].read_bytes(), change))
    with pytest.raises(kind, match=message):
        load_network(tmp_path / "n.tflite", image_shape=SHAPE, classes=5)


def test_images_of_the_wrong_form_are_refused(files: dict[str, Path]) -> None:
    evaluator = open_network(load_network(files["float32"], image_shape=SHAPE, classes=5))
    for bad in (IMAGES.astype(np.float64), IMAGES[:, :-1], IMAGES.reshape(-1, *SHAPE)):
        with pytest.raises(ShapeError, match=r"accepted: float32 \(n, 48\)"):
            evaluator.outputs(bad)  # type: ignore[arg-type]
    assert evaluator.outputs(IMAGES[:0]).shape == (0, 5)
