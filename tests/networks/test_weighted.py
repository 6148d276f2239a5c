"""Weights that are read from files of every format, against the programs that run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.networks.load import load_network
from relrob.networks.weighted import NotReadError, Weighted, weights_of
from tests.litert_edits import scale
from tests.make_litert import FILES, OP, add_constant, add_operator, edited
from tests.make_networks import convert, keras, save
from tests.support import shared_data

Array = NDArray[Any]
RNG = np.random.default_rng(3)


def read(path: Path, shape: tuple[int, int, int], classes: int, **options: Any) -> list[Weighted]:
    network = load_network(path, image_shape=shape, classes=classes, more_classes=True, **options)
    return list(weights_of(network))


def dequantised(path: Path) -> list[Array]:
    """What LiteRT's own DEQUANTIZE operators give, in their order."""
    interpreter = Interpreter(
        str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    interpreter.set_tensor(given["index"], np.zeros(given["shape"], np.float32))
    interpreter.invoke()
    return [
        interpreter.get_tensor(operator["outputs"][0])
        for operator in interpreter._get_ops_details()
        if operator["op_name"] == "DEQUANTIZE"
    ]


@pytest.mark.parametrize("name", ["mlp_wo_wi8", "mlp_wo_wi4", "mnist_quantized"])
def test_codes_are_dequantised_as_litert_does(name: str) -> None:
    path = shared_data(f"quantised_formats/{name}.tflite")
    made = dequantised(path)
    layers = read(path, (28, 28, 1), 10)
    assert len(made) == len(layers) == 3
    for layer, wanted in zip(layers, made, strict=True):
        np.testing.assert_allclose(layer.values, wanted.reshape(layer.shape), rtol=1e-6)


def of_four_bits(model: Any, graph: Any) -> None:
    """The first layer's float weights become codes of 4 bits behind a DEQUANTIZE."""
    first, outputs = graph.operators[0], graph.outputs
    shape = graph.tensors[first.inputs[1]].shape
    place = add_constant(model, graph, 0)
    held = graph.tensors[place]
    model.buffers[held.buffer].data = RNG.integers(0, 256, np.prod(shape) // 2).astype(np.uint8)
    held.shape, held.type = shape, schema.TensorType.INT4
    scale(place, [0.25], [0])(model, graph)
    made = add_operator(model, graph, OP.DEQUANTIZE, [place], first.inputs[1])
    graph.tensors[made.outputs[0]].quantization = None
    first.inputs = [first.inputs[0], made.outputs[0], *first.inputs[2:]]
    graph.operators, graph.outputs = [made, *graph.operators[:-1]], outputs


def test_two_codes_of_four_bits_share_a_byte_as_in_litert(tmp_path: Path) -> None:
    """All sixteen codes stand in either half."""
    path = tmp_path / "n.tflite"
    path.write_bytes(edited(FILES["float"], of_four_bits))
    (wanted,) = dequantised(path)
    assert len(np.unique(wanted)) == 16
    first, _ = read(path, (1, 20, 1), 5)
    np.testing.assert_array_equal(first.values, wanted)


def test_depthwise_and_plain_convolutions_are_read_by_channel() -> None:
    path = shared_data("mlperf_tiny/kws_ref_model.tflite")
    interpreter = Interpreter(str(path))
    details = {each["index"]: each for each in interpreter.get_tensor_details()}
    interpreter.allocate_tensors()
    for layer in read(path, (49, 10, 1), 12):
        operator = next(
            each
            for each in interpreter._get_ops_details()
            if each["op_name"] != "DELEGATE"
            and layer.label.startswith(f"operator {each['index']} ")
        )
        weights, bias = (int(operator["inputs"][place]) for place in (1, 2))
        held = interpreter.get_tensor(weights).astype(np.float64)
        scales = details[weights]["quantization_parameters"]["scales"].astype(np.float64)
        wanted = held * scales if layer.kind == "depthwise" else (held.T * scales).T
        if layer.kind == "depthwise":
            wanted = wanted.transpose(3, 1, 2, 0)
        np.testing.assert_allclose(layer.values, wanted.reshape(layer.shape), rtol=1e-12)
        assert layer.bias is not None
        assert len(layer.bias) == len(interpreter.get_tensor(bias))
        assert layer.given is not None
        assert layer.result is not None


def graph(nodes: list[Any], constants: dict[str, Array], dims: list[int]) -> bytes:
    """A graph from "x" of `dims` to "y"."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "k"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return bytes(helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString())


def run(data: bytes, values: Array) -> Array:
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": values.astype(np.float32)})[0], np.float64)


def floats(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def test_a_convolution_with_its_normalisation_is_the_function_that_onnxruntime_computes(
    tmp_path: Path,
) -> None:
    held = {
        "w": floats(6, 3, 4, 4),
        "b": floats(6),
        **{name: floats(6) for name in ("gamma", "beta", "mean")},
        "variance": np.abs(floats(6)) + np.float32(0.1),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"]),
        helper.make_node("BatchNormalization", ["c", *list(held)[2:]], ["n"], epsilon=0.01),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Flatten", ["r"], ["y"]),
    ]
    path = tmp_path / "n.onnx"
    path.write_bytes(graph(nodes, held, [1, 3, 4, 4]))
    (layer,) = read(path, (4, 4, 3), 6)
    assert layer.folded
    assert layer.relu
    for _ in range(5):
        image = floats(1, 3, 4, 4)
        wanted = run(path.read_bytes(), image).ravel()
        assert layer.bias is not None
        found = layer.values @ image[0].transpose(1, 2, 0).ravel() + layer.bias
        np.testing.assert_allclose(np.maximum(found, 0), wanted, atol=1e-4)


PRODUCTS = ("gemm", "gemm transposed", "matmul and add", "qdq", "qlinear", "integer", "nbits")


def product(kind: str) -> bytes:
    """A layer of 40 inputs and 6 outputs."""
    weights, bias = floats(40, 6), floats(6)
    codes = RNG.integers(-127, 128, (40, 6)).astype(np.int8)
    scale = (np.abs(floats(6)) + np.float32(0.1)) / np.float32(127)
    grid: dict[str, Any] = {"s": np.float32(0.05), "z": np.uint8(7)}
    ends: dict[str, Any] = {"t": np.float32(0.06), "u": np.uint8(9)}
    held: dict[str, Any]
    node = helper.make_node
    match kind:
        case "gemm":
            held = {"w": weights, "b": bias}
            nodes = [node("Gemm", ["x", "w", "b"], ["y"])]
        case "gemm transposed":
            held = {"w": weights.T.copy(), "b": bias}
            nodes = [node("Gemm", ["x", "w", "b"], ["y"], transB=1)]
        case "matmul and add":
            held = {"w": weights, "b": bias}
            nodes = [node("MatMul", ["x", "w"], ["m"]), node("Add", ["m", "b"], ["y"])]
        case "qdq":
            held = {"w": codes, "ws": scale, "wz": np.zeros(6, np.int8), "b": bias}
            nodes = [
                node("DequantizeLinear", ["w", "ws", "wz"], ["d"], axis=1),
                node("MatMul", ["x", "d"], ["m"]),
                node("Add", ["b", "m"], ["y"]),
            ]
        case "qlinear":
            held = {"w": codes, "ws": scale, "wz": np.zeros(6, np.int8), **grid, **ends}
            nodes = [
                node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                node("QLinearMatMul", ["q", "s", "z", "w", "ws", "wz", "t", "u"], ["p"]),
                node("DequantizeLinear", ["p", "t", "u"], ["y"]),
            ]
        case "integer":
            held = {"w": codes, "ws": np.float32(0.01), "wz": np.int8(3)}
            nodes = [
                node("DynamicQuantizeLinear", ["x"], ["q", "qs", "qz"]),
                node("Mul", ["qs", "ws"], ["both"]),
                node("MatMulInteger", ["q", "w", "qz", "wz"], ["i"]),
                node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
                node("Mul", ["f", "both"], ["y"]),
            ]
        case _:
            packed = RNG.integers(0, 256, (6, 2, 16)).astype(np.uint8)
            held = {"w": packed, "ws": np.abs(floats(12))}
            settings: dict[str, Any] = {"K": 40, "N": 6, "bits": 4, "block_size": 32}
            nodes = [
                node("MatMulNBits", ["x", "w", "ws"], ["y"], domain="com.microsoft", **settings)
            ]
    return graph(nodes, held, [1, 40])


@pytest.mark.parametrize("kind", PRODUCTS)
def test_every_product_is_the_function_that_onnxruntime_computes(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(product(kind))
    (layer,) = read(path, (1, 40, 1), 6)
    # Zeros, and inputs that 8 bits of activations hold without an error.
    images = np.concatenate([np.zeros((1, 40)), np.eye(40) * 2.5])
    found = np.stack([run(path.read_bytes(), image[None])[0] for image in images])
    wanted = images @ layer.values.T + (0 if layer.bias is None else layer.bias)
    coarse = kind == "qlinear"
    if coarse:
        wanted = np.clip(wanted, -9 * 0.06, (255 - 9) * 0.06)
        assert layer.given is not None
        assert layer.result is not None
        assert (layer.given.zero, layer.result.zero) == (7, 9)
        assert (layer.given.scale, layer.result.scale) == pytest.approx((0.05, 0.06))
    np.testing.assert_allclose(found, wanted, atol=0.0301 if coarse else 1e-4)


def test_what_is_not_read_is_said(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Einsum", ["x", "w"], ["y"], equation="bi,io->bo"),
    ]
    path = tmp_path / "n.onnx"
    path.write_bytes(graph(nodes, {"w": floats(40, 6)}, [1, 40]))
    with pytest.raises(NotReadError, match="Einsum"):
        read(path, (1, 40, 1), 6)


def test_keras_layers_are_those_of_the_converter_with_normalisations_folded_in(
    tmp_path: Path,
) -> None:
    layers = keras().layers
    given = layers.Input((8, 8, 2))
    value = layers.Conv2D(4, 3, padding="same", use_bias=False)(given)
    value = layers.ReLU()(layers.BatchNormalization()(value))
    value = layers.DepthwiseConv2D(3, padding="same")(value)
    value = layers.Activation("relu")(layers.BatchNormalization(scale=False)(value))
    other = layers.Conv2D(4, 1)(value)
    value = layers.Add()([layers.SeparableConv2D(4, 3, padding="same")(value), other])
    value = layers.Dense(5, activation="relu")(layers.Flatten()(value))
    model = keras().Model(given, layers.Dense(3)(value))
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.2, 1.5, array.shape) for array in model.get_weights()])
    lite = tmp_path / "n.tflite"
    lite.write_bytes(convert(model))
    made = read(lite, (8, 8, 2), 3)
    for name in ("n.keras", "n.h5"):
        found = read(save(model, tmp_path / name), (8, 8, 2), 3)
        # The order of the two branches is the graph's own.
        assert sorted(each.shape for each in found) == sorted(each.shape for each in made)
        for layer in found:
            same = [each for each in made if each.shape == layer.shape]
            assert any(
                np.allclose(each.values, layer.values, rtol=1e-4, atol=1e-6) for each in same
            )
            if layer.kind != "depthwise" or layer.folded:
                assert any(
                    np.allclose(
                        0 if each.bias is None else each.bias,
                        0 if layer.bias is None else layer.bias,
                        rtol=1e-3,
                        atol=1e-4,
                    )
                    for each in same
                )
        assert [each.folded for each in found].count(True) == 2


def test_a_layer_over_pixels_is_in_raster_order_red_first(tmp_path: Path) -> None:
    weights = floats(12, 3)
    path = tmp_path / "n.onnx"
    nodes = [helper.make_node("Gemm", ["x", "w", "b"], ["y"])]
    path.write_bytes(graph(nodes, {"w": weights, "b": floats(3)}, [1, 12]))
    (plain,) = read(path, (2, 2, 3), 3)
    (planes,) = read(path, (2, 2, 3), 3, layout="chw")
    np.testing.assert_array_equal(plain.values, weights.T)
    wanted = weights.T.reshape(3, 3, 2, 2).transpose(0, 2, 3, 1).reshape(3, 12)
    np.testing.assert_array_equal(planes.values, wanted)


def test_blocks_of_scales_are_refused_where_they_are_not_read(tmp_path: Path) -> None:
    codes, scales = RNG.integers(-8, 8, (40, 6)).astype(np.int8), np.abs(floats(4, 6))
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["d"], axis=0, block_size=10),
        helper.make_node("MatMul", ["x", "d"], ["y"]),
    ]
    model = onnx.load_from_string(graph(nodes, {"w": codes, "s": scales}, [1, 40]))
    model.opset_import[0].version = 21
    path = tmp_path / "n.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(NotReadError, match="blocks"):
        read(path, (1, 40, 1), 6)
