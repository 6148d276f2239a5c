"""Which products onnxruntime rounds by the number of images, against onnxruntime itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from relrob.networks.details import ONNX_LEVELS
from relrob.networks.load import load_network
from relrob.networks.onnx.levels import level_of
from relrob.networks.onnx.packed import rounds_by_number
from relrob.networks.open import open_network

WIDTH, CLASSES = 128, 7
RNG = np.random.default_rng(5)
IMAGES = RNG.random((96, WIDTH), dtype=np.float32)
# Ways to hold a matrix -> the nodes that make it from the initializer "m".
CODES = helper.make_node("DequantizeLinear", ["m", "s", "z"], ["w"])
MADE: dict[str, list[onnx.NodeProto]] = {
    "held": [],
    "given": [],
    "copied": [helper.make_node("Identity", ["m"], ["w"])],
    "turned": [helper.make_node("Transpose", ["m"], ["w"], perm=[1, 0])],
    "copied and turned": [
        helper.make_node("Identity", ["m"], ["i"]),
        helper.make_node("Transpose", ["i"], ["w"], perm=[1, 0]),
    ],
    "codes": [CODES],
    "halves": [],
}
# Steps behind a product of codes, and between Relu and the last product.
BEHIND = {"": False, "Relu": False, "Q": True, "Relu Q": True, "Q Relu Q": True}


def a_model(way: str, product: str) -> onnx.ModelProto:
    """x -> product -> Relu -> product -> y; the first matrix is held in that way."""
    kind = np.float16 if way == "halves" else np.float32
    weights = RNG.standard_normal((WIDTH, WIDTH)).astype(kind)
    last = RNG.standard_normal((WIDTH, CLASSES)).astype(kind)
    held = np.ascontiguousarray(weights.T) if "turned" in way else weights
    tensors = [numpy_helper.from_array(last, "v")]
    if way == "codes":
        tensors += codes(weights)
    else:
        tensors.append(numpy_helper.from_array(held, "m" if MADE[way] else "w"))
    nodes = [
        *MADE[way],
        helper.make_node(product, ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["r"]),
        helper.make_node(product, ["r", "v"], ["y"]),
    ]
    element = TensorProto.FLOAT16 if way == "halves" else TensorProto.FLOAT
    more = [helper.make_tensor_value_info("w", element, weights.shape)] if way == "given" else []
    return wrapped(nodes, tensors, element, more)


def codes(weights: Any) -> list[onnx.TensorProto]:
    """The codes "m" of a matrix, their scale and zero point."""
    return [
        numpy_helper.from_array(np.rint(weights * 30).astype(np.int8), "m"),
        numpy_helper.from_array(np.array(1 / 30, np.float32), "s"),
        numpy_helper.from_array(np.array(0, np.int8), "z"),
    ]


def of_codes(product: str, behind: str) -> onnx.ModelProto:
    """x -> codes -> product of codes -> steps -> product -> y."""
    weights = RNG.standard_normal((WIDTH, WIDTH)).astype(np.float32)
    last = RNG.standard_normal((WIDTH, CLASSES)).astype(np.float32)
    tensors = [*codes(weights), numpy_helper.from_array(last, "v")]
    tensors += [numpy_helper.from_array(np.array(1 / 9, np.float32), "t")]
    tensors += [numpy_helper.from_array(np.array(0, np.uint8), "u")]
    nodes, at = [CODES], "x"
    for number, step in enumerate(["Q", product, *behind.split()]):
        name = f"n{number}"
        if step == "Q":
            nodes.append(helper.make_node("QuantizeLinear", [at, "t", "u"], [f"{name}q"]))
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}q", "t", "u"], [name]))
        else:
            given = [at] if step == "Relu" else [at, "w"]
            nodes.append(helper.make_node(step, given, [name]))
        at = name
    return wrapped(
        [*nodes, helper.make_node("MatMul", [at, "v"], ["y"])], tensors, TensorProto.FLOAT, []
    )


def wrapped(
    nodes: list[onnx.NodeProto],
    tensors: list[onnx.TensorProto],
    element: int,
    more: list[onnx.ValueInfoProto],
) -> onnx.ModelProto:
    """The model of these nodes, from x to y."""
    given = [helper.make_tensor_value_info("x", element, ["n", WIDTH]), *more]
    result = helper.make_tensor_value_info("y", element, ["n", CLASSES])
    graph = helper.make_graph(nodes, "g", given, [result], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)


def differ(model: onnx.ModelProto, runtime: str) -> bool:
    """Do images in batches of some sizes have other bits than alone, in onnxruntime itself?"""
    options = ort.SessionOptions()
    options.graph_optimization_level = level_of(runtime)
    options.intra_op_num_threads = 1
    session: Any = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    half = model.graph.input[0].type.tensor_type.elem_type == TensorProto.FLOAT16
    images = IMAGES.astype(np.float16) if half else IMAGES
    alone = np.concatenate([session.run(None, {"x": image[None]})[0] for image in images])
    return any(
        not np.array_equal(session.run(None, {"x": images[:n]})[0], alone[:n])
        for n in (2, 3, 5, 8, 64, 96)
    )


@pytest.mark.parametrize("product", ["MatMul", "Gemm"])
@pytest.mark.parametrize("way", MADE)
@pytest.mark.parametrize("runtime", ONNX_LEVELS)
def test_products_that_are_said_to_round_alike_do(runtime: str, way: str, product: str) -> None:
    model = a_model(way, product)
    said = rounds_by_number(model, runtime)
    assert said or not differ(model, runtime)
    expected = {
        "held": False,
        "given": True,
        "codes": True,
        "halves": runtime != "onnxruntime",
    }.get(way, runtime == "onnxruntime:disabled")
    assert said == expected
    # Codes become a product of another kind where all optimisations run.
    if way not in ("codes", "halves"):
        assert differ(model, runtime) == said


@pytest.mark.parametrize("product", ["MatMul", "Gemm"])
@pytest.mark.parametrize("behind", BEHIND)
@pytest.mark.parametrize("runtime", ONNX_LEVELS)
def test_products_of_codes_are_whole_numbers_where_codes_follow(
    runtime: str, behind: str, product: str
) -> None:
    model = of_codes(product, behind)
    said = rounds_by_number(model, runtime)
    assert said or not differ(model, runtime)
    assert said != (BEHIND[behind] and runtime in ("onnxruntime", "onnxruntime:extended"))
    if behind == "Relu":
        assert differ(model, runtime)


def test_constants_are_held_and_old_files_give_no_weights_away() -> None:
    model = a_model("given", "Gemm")
    model.ir_version = 3
    assert not rounds_by_number(model, "onnxruntime")
    assert not differ(model, "onnxruntime")
    model = a_model("held", "MatMul")
    for tensor in model.graph.initializer:
        model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    del model.graph.initializer[:]
    assert not rounds_by_number(model, "onnxruntime:disabled")
    assert not differ(model, "onnxruntime:disabled")


def test_other_runtimes_are_not_spoken_of() -> None:
    assert not rounds_by_number(a_model("given", "Gemm"), "keras")


def test_a_modelled_network_runs_alone_where_a_batch_has_other_bits(tmp_path: Path) -> None:
    """The products cancel: logits stand far apart, and the last bits of sums decide between
    them."""
    model = a_model("given", "Gemm")
    onnx.save(model, tmp_path / "f.onnx")
    network = load_network(tmp_path / "f.onnx", image_shape=(1, WIDTH, 1), classes=CLASSES)
    assert (network.dense is not None, network.black_box, network.apart) == (True, "", False)
    assert differ(model, "onnxruntime")
    batches, alone = open_network(network), open_network(network, batch=1)
    assert np.array_equal(batches.outputs(IMAGES), alone.outputs(IMAGES))
    assert batches.best_batch == 1


def test_a_modelled_network_with_its_own_weights_runs_in_batches(tmp_path: Path) -> None:
    onnx.save(a_model("held", "Gemm"), tmp_path / "f.onnx")
    network = load_network(tmp_path / "f.onnx", image_shape=(1, WIDTH, 1), classes=CLASSES)
    assert network.apart and open_network(network).best_batch > 1
