"""The scheme that a file is said to have, from the tensors that its operators read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from relrob.networks.load import load_network
from tests.audit.pairs import SHAPE, dense, dynamic, images, int8
from tests.litert_edits import dequantised
from tests.make_litert import edited
from tests.support import shared_data

DEPLOYED = {
    "mlp_wo_wi8.tflite": "weight-only",
    "mlp_wo_wi4.tflite": "weight-only",
    "mnist_quantized.tflite": "weight-only",
    "mlp_float.tflite": "float32",
    "mlp_dynamic_wi4.tflite": "dynamic-per-channel",
    "mlp_static_wi8_ai16.tflite": "int16x8",
    "mlp_nbits_4.onnx": "weight-only",
    "mlp_dyn.onnx": "dynamic",
    "mlp_qop_u8s8.onnx": "qdq",
    "mlp.onnx": "float32",
}


@pytest.mark.parametrize("name", DEPLOYED)
def test_the_scheme_of_files_that_people_deploy(name: str) -> None:
    path = shared_data(f"quantised_formats/{name}")
    network = load_network(path, image_shape=(28, 28, 1), classes=10, more_classes=True)
    assert network.scheme == DEPLOYED[name]


def test_integers_behind_dequantize_are_weights_only(tmp_path: Path) -> None:
    path = tmp_path / "n.tflite"
    for data, scheme in (
        (dynamic(dense()), "dynamic-per-channel"),
        (int8(dense(), images()), "int8"),
    ):
        path.write_bytes(data)
        assert load_network(path, image_shape=SHAPE, classes=10).scheme == scheme
    # The first layer's weights alone: the others are still products of integers.
    path.write_bytes(edited(dynamic(dense()), dequantised))
    assert load_network(path, image_shape=SHAPE, classes=10).scheme == "dynamic-per-channel"


def test_halves_in_an_onnx_file_are_a_scheme(tmp_path: Path) -> None:
    weights = np.ones((4, 3), np.float16)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["w"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["x", "f"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "n.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)
    assert load_network(path, image_shape=(1, 4, 1), classes=3).scheme == "float16"
