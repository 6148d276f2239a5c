"""Small network files for tests. The functions that write Keras and LiteRT files import TensorFlow
(seconds) when first called."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.domain.arrays import Doubles
from relrob.domain.network import Dense
from relrob.registry import load
from relrob.system.quiet import quiet_native

Shape = tuple[int, int, int]


def forward(dense: Dense, images: NDArray[Any]) -> Doubles:
    """Logits (n, classes) in float64 NumPy, the oracle of the evaluators."""
    value = images.astype(np.float64)
    for layer in dense.layers:
        value = value @ layer.weights.astype(np.float64) + layer.bias
        value = np.maximum(value, 0) if layer.relu else value
    return value


def softmax(logits: Doubles) -> Doubles:
    """Row by row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Doubles = powers / powers.sum(axis=1, keepdims=True)
    return result


def keras() -> Any:
    """The Keras package, imported without its chatter."""
    with quiet_native():
        return load("tests.tensorflow_here:keras")


def keras_model(
    dense: Dense, image_shape: Shape, extra: Callable[[Any], list[Any]] | None = None
) -> Any:
    """A Sequential model of the weights; `extra(keras.layers)`: layers between the input and
    Flatten."""
    layers = keras().layers
    stack = [layers.Input(image_shape), *(extra(layers) if extra else ()), layers.Flatten()]
    last = len(dense.layers) - 1
    names = [f"d{number}" for number in range(last + 1)]
    for number, layer in enumerate(dense.layers):
        final = "softmax" if dense.softmax and number == last else None
        stack.append(
            layers.Dense(
                layer.weights.shape[1], "relu" if layer.relu else final, name=names[number]
            )
        )
    model = keras().Sequential(stack)
    for name, layer in zip(names, dense.layers, strict=True):
        model.get_layer(name).set_weights([layer.weights, layer.bias])
    return model


def save(model: Any, path: Path) -> Path:
    """`model.save` for .keras and .h5, without the remark on HDF5."""
    logging.getLogger("absl").setLevel(logging.ERROR)
    with quiet_native():
        model.save(path)
    return path


def write_keras(dense: Dense, path: Path, image_shape: Shape) -> Path:
    """The weights (rows in (H, W, C) order) as a Sequential `.keras` or `.h5` file."""
    return save(keras_model(dense, image_shape), path)


def write_tflite(dense: Dense, path: Path, image_shape: Shape, scheme: str = "float32") -> Path:
    """The weights as a `.tflite` file: "float32", "dynamic", "dynamic-per-channel", "float16",
    "int8" or "int16x8"."""
    path.write_bytes(convert(keras_model(dense, image_shape), scheme))
    return path


def convert(model: Any, scheme: str = "float32", images: NDArray[Any] | None = None) -> bytes:
    """A Keras model through LiteRT's converter. Integer schemes are calibrated on images, shape
    (n, *input), on seeded noise where there are none."""
    tf = load("tests.tensorflow_here:tensorflow")
    with quiet_native():
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if scheme != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter._experimental_disable_per_channel = scheme == "dynamic"
        if scheme == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if scheme in ("int8", "int16x8"):
            if images is None:
                rng = np.random.default_rng(0)
                images = rng.random((64, *model.input_shape[1:]), dtype=np.float32)
            rows = images[:, None]
            converter.representative_dataset = lambda: ([row] for row in rows)
            kinds = tf.lite.OpsSet
            wide = kinds.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            converter.target_spec.supported_ops = [
                kinds.TFLITE_BUILTINS_INT8 if scheme == "int8" else wide
            ]
            converter.inference_input_type = converter.inference_output_type = (
                tf.int8 if scheme == "int8" else tf.int16
            )
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # the converter doubts a calibration that it does use
            return bytes(converter.convert())


def write_keras1(dense: Dense, path: Path) -> Path:
    """The weights as Keras 1 wrote them: no architecture; rows in (C, H, W) order if they are
    images."""
    with h5py.File(path, "w") as file:
        names = [f"dense_{number}" for number in range(1, len(dense.layers) + 1)]
        file.attrs["layer_names"] = np.array([b"flatten_1", *(name.encode() for name in names)])
        file.create_group("flatten_1").attrs["weight_names"] = np.array([])
        for name, layer in zip(names, dense.layers, strict=True):
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}_W".encode(), f"{name}_b".encode()])
            group[f"{name}_W"], group[f"{name}_b"] = layer.weights, layer.bias
    return path


def onnx_bytes(
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[Any]],
    dims: list[int | str],
    classes: int,
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """A graph from "x" of shape `dims` to "y" (batch, classes)."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info("x", kind, dims)],
        [helper.make_tensor_value_info("y", kind, [dims[0], classes])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    return bytes(model.SerializeToString())


def write_onnx(dense: Dense, path: Path) -> Path:
    """The weights as an `.onnx` file with a flat input and any batch."""
    nodes, value = [], "x"
    constants: dict[str, NDArray[Any]] = {}
    for number, layer in enumerate(dense.layers):
        constants |= {f"w{number}": layer.weights, f"b{number}": layer.bias}
        end = "y" if number == len(dense.layers) - 1 else f"v{number}"
        nodes.append(
            helper.make_node(
                "Gemm", [value, f"w{number}", f"b{number}"], [f"s{number}" if layer.relu else end]
            )
        )
        if layer.relu:
            nodes.append(helper.make_node("Relu", [f"s{number}"], [end]))
        value = end
    path.write_bytes(onnx_bytes(nodes, constants, ["n", dense.inputs], dense.classes))
    return path
