"""The command `python -m relrob.testing.seeds FOLDER`: small files of every format.

`relrob.testing.mutate` makes damaged files of them. Importing this module takes seconds (Keras).
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, Final

import h5py
import keras
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import Calibration
from relrob.domain.network import Dense
from relrob.networks.load import load_network
from relrob.networks.onnx.export import to_onnx
from relrob.testing.cases import SHAPE, random_dense

CLASSES: Final = 4
_SIZES: Final = (36, 12, CLASSES)


def write(folder: Path, seed: int = 0) -> None:
    """Every seed, in a sub-folder for each format."""
    rng = np.random.default_rng(seed)
    keras.utils.set_random_seed(seed)
    logging.getLogger("absl").setLevel(logging.ERROR)
    for name in ("tflite", "onnx", "h5", "keras", "savedmodel", "fixed", "npz"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    dense = random_dense(rng, _SIZES)
    _onnx(folder / "onnx", dense)
    _keras(folder)
    _quantised(folder, rng)
    _keras1(folder / "h5/keras1.h5", dense)
    images = rng.integers(0, 256, (3, *SHAPE), np.uint8)
    np.savez_compressed(
        folder / "npz/images.npz", images=images, labels=np.arange(3), classes=np.int64(CLASSES)
    )
    np.savez(
        folder / "npz/floats.npz", x_test=(images / 255).astype(np.float32), y_test=np.arange(3)
    )


def _onnx(folder: Path, dense: Dense) -> None:
    """An exported MLP, and one with arithmetic before it."""
    (folder / "mlp.onnx").write_bytes(to_onnx(dense))
    constants = {f"w{number}": layer.weights for number, layer in enumerate(dense.layers)}
    constants |= {f"b{number}": layer.bias for number, layer in enumerate(dense.layers)} | {
        "m": np.full(1, 0.5, "f4")
    }
    steps = [("Sub", ["x", "m"]), ("Flatten", ["0"]), ("Gemm", ["1", "w0", "b0"]), ("Relu", ["2"])]
    steps += [("MatMul", ["3", "w1"]), ("Add", ["4", "b1"]), ("Softmax", ["5"])]
    nodes = [
        helper.make_node(kind, names, [str(number)]) for number, (kind, names) in enumerate(steps)
    ]
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 6, 6])
    result = helper.make_tensor_value_info("6", TensorProto.FLOAT, ["n", CLASSES])
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "graph", [given], [result], initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "arithmetic.onnx")


def _keras(folder: Path) -> None:
    """Keras 3 models: an MLP, one with normalisation, and a CNN, which is a black box."""
    layers: Any = keras.layers
    plain = keras.Sequential(
        [layers.Input(SHAPE), layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(CLASSES)]
    )
    rescaled = keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Rescaling(0.5),
            layers.Flatten(),
            layers.Dense(6),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Dense(CLASSES, "softmax"),
        ]
    )
    picture = [
        layers.Input(SHAPE),
        layers.Conv2D(2, 3, activation="tanh"),
        layers.Flatten(),
        layers.Dense(CLASSES),
    ]
    for name, model in (("mlp", plain), ("rescaled", rescaled), ("cnn", keras.Sequential(picture))):
        model.save(folder / f"keras/{name}.keras")
        model.save(folder / f"h5/{name}.h5")
        if name != "rescaled":
            model.export(folder / f"savedmodel/{name}", format="tf_saved_model", verbose=False)


def _quantised(folder: Path, rng: np.random.Generator) -> None:
    """The MLP and the CNN through the quantisers."""
    calibration = Calibration(
        "noise", "seeds", tuple(range(32)), 0, rng.random((32, 36), dtype=np.float32)
    )
    mlp, cnn = (
        load_network(folder / f"keras/{name}.keras", image_shape=SHAPE, classes=CLASSES)
        for name in ("mlp", "cnn")
    )
    for scheme in ("dynamic", "int8", "int8-per-tensor", "int16x8", "float16"):
        (folder / f"tflite/{scheme}.tflite").write_bytes(
            quantised_bytes(mlp, scheme, calibration, SHAPE)
        )
    (folder / "tflite/cnn.tflite").write_bytes(quantised_bytes(cnn, "int8", calibration, SHAPE))
    (folder / "onnx/qdq.onnx").write_bytes(quantised_bytes(mlp, "qdq", calibration, SHAPE))
    (folder / "fixed/fixed8.npz").write_bytes(quantised_bytes(mlp, "fixed:8", calibration, SHAPE))


def _keras1(path: Path, dense: Dense) -> None:
    """Weights as Keras 1 wrote them."""
    with h5py.File(path, "w") as file:
        names = [f"dense_{number}" for number in range(1, len(dense.layers) + 1)]
        file.attrs["layer_names"] = np.array([name.encode() for name in names])
        for name, layer in zip(names, dense.layers, strict=True):
            group = file.create_group(name)
            group.attrs["weight_names"] = np.array([f"{name}_W".encode(), f"{name}_b".encode()])
            group[f"{name}_W"], group[f"{name}_b"] = layer.weights, layer.bias


if __name__ == "__main__":
    write(Path(sys.argv[1]))
