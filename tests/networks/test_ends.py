"""The ends of files: the contract that a file says, several outputs, and one output for two
classes."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from ai_edge_litert import schema_py_generated as schema
from onnx import TensorProto, helper, numpy_helper

from relrob.deciding.decide import decide
from relrob.domain.contract import InputContract, InputOptions, input_options
from relrob.domain.network import Dense, Network
from relrob.domain.region import Ladder
from relrob.domain.verdict import Status
from relrob.errors import ShapeError
from relrob.networks.accuracy import accuracy
from relrob.networks.batches import two_columns
from relrob.networks.evaluator import labels
from relrob.networks.keras.config import parse
from relrob.networks.keras.ends import head_of, reads_of
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.networks.probes import probed
from relrob.queries.properties import Label
from relrob.queries.query import Budget, Query
from relrob.regions.ladder import rung_set
from relrob.regions.part import whole
from tests.make_kernels import Full, Kind, Step, write
from tests.make_litert import FILES, add_operator, edited
from tests.make_networks import onnx_bytes
from tests.support import random_dense, shared_data

SHAPE = (4, 5, 1)
ASKED = InputOptions()
LEVELS = InputContract(Fraction(255))


def layers(out: Kind) -> list[Full | Step]:
    """One int8 dense layer of 20 inputs."""
    rng = np.random.default_rng(0)
    weights = rng.integers(-127, 128, (5, 20)).astype(np.int8)
    return [Full(weights, np.zeros(5, np.int32), np.full(1, 0.01, np.float32), False, out)]


def eight_bits(scale: float, zero: int, front: bool = False, unsigned: bool = False) -> bytes:
    """An int8 network; `front`: behind a QUANTIZE of floats; `unsigned`: with a uint8 input."""
    kind = Kind(float(np.float32(scale)), zero)
    steps: list[Full | Step] = [*layers(Kind(1.0, 0))]
    if front or unsigned:
        steps.insert(0, Step("quantize", kind))
    first = Kind() if front else Kind(kind.scale, zero + 128, unsigned=True) if unsigned else kind
    return write(20, first, steps)


@pytest.mark.parametrize(
    ("data", "scale", "told"),
    [
        (eight_bits(1.0, -128), 255, "scale 1, zero point -128"),
        (eight_bits(0.95, -128), 255, "scale 0.95, zero point -128"),
        (eight_bits(1.0, -128, front=True), 255, "scale 1, zero point -128"),
        (eight_bits(1.0, -128, unsigned=True), 255, "scale 1, zero point 0"),
        (eight_bits(1.0, -127), 1, ""),
        (eight_bits(1.1, -128), 1, ""),
        (eight_bits(1 / 255, -128), 1, ""),
        (eight_bits(2 / 255, -1), 1, ""),
        (FILES["dynamic"], 1, ""),
    ],
)
def test_the_grid_of_an_input_says_the_scale(
    tmp_path: Path, data: bytes, scale: int, told: str
) -> None:
    path = tmp_path / "n.tflite"
    path.write_bytes(data)
    network = load_network(path, image_shape=SHAPE, classes=5, inputs=ASKED)
    assert (network.contract, told in network.contract_from) == (
        InputContract(Fraction(scale)),
        True,
    )
    assert (network.contract_from == "") == (told == "")
    # Nobody asked.
    assert load_network(path, image_shape=SHAPE, classes=5).contract.identity
    like = InputContract(Fraction(7))
    told_by = load_network(path, image_shape=SHAPE, classes=5, inputs=ASKED, like=like)
    silent = scale == 1 and data != b"" and told == "" and data != eight_bits(1 / 255, -128)
    assert told_by.contract == (like if silent else InputContract(Fraction(scale)))


def test_an_option_wins_over_the_file_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "n.tflite"
    path.write_bytes(eight_bits(1.0, -128))
    for options, expected in (
        (input_options("1"), InputContract()),
        (input_options(mean="0.5"), InputContract(mean=(Fraction(1, 2),))),
    ):
        caplog.clear()
        found = load_network(path, image_shape=SHAPE, classes=5, inputs=options)
        assert (found.contract, found.contract_from) == (expected, "")
        (record,) = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert "reads 0..255 by its input tensor" in record.getMessage()
    caplog.clear()
    same = load_network(path, image_shape=SHAPE, classes=5, inputs=input_options("255"))
    assert (same.contract, caplog.records) == (LEVELS, [])


def keras_config(*entries: tuple[str, dict[str, Any]]) -> Any:
    """A Sequential model of these layers."""
    listed = [
        {"class_name": kind, "config": {"name": f"l{n}", **config}}
        for n, (kind, config) in enumerate(entries)
    ]
    return parse(json.dumps({"class_name": "Sequential", "config": {"layers": listed}}), "m")


INPUT = ("InputLayer", {"batch_shape": [None, 4, 5, 1]})
DENSE = ("Dense", {"units": 3, "activation": "softmax"})


@pytest.mark.parametrize(
    ("first", "scale"),
    [
        (("Rescaling", {"scale": 1 / 255, "offset": 0.0}), 255),
        (("Rescaling", {"scale": float(np.float32(1 / 127.5)), "offset": -1.0}), 255),
        (("Rescaling", {"scale": [1 / 255] * 3, "offset": 0.0}), 255),
        (("Rescaling", {"scale": [1 / 255, 1 / 255, 0.5], "offset": 0.0}), None),
        (("Rescaling", {"scale": 2.0, "offset": -1.0}), None),
        (("Normalization", {"mean": 127.5, "variance": 127.5**2}), 255),
        (("Normalization", {"mean": 0.5, "variance": 0.25}), None),
        (("Normalization", {"axis": -1}), None),
        (("ReLU", {}), None),
    ],
)
def test_a_first_layer_that_scales_says_the_levels(
    first: tuple[str, dict[str, Any]], scale: int | None
) -> None:
    found = reads_of(keras_config(INPUT, first, ("Flatten", {}), DENSE))
    assert (None if found is None else found[0]) == (None if scale is None else LEVELS)
    assert reads_of(keras_config(INPUT, ("Flatten", {}), DENSE, first)) is None


@pytest.mark.parametrize(
    ("last", "head"),
    [
        ([("Dense", {"units": 1, "activation": "sigmoid"})], "probability"),
        ([("Dense", {"units": 1}), ("Activation", {"activation": "sigmoid"})], "probability"),
        ([("Dense", {"units": 1, "activation": "linear"})], "logit"),
        ([("Dense", {"units": 1, "activation": "tanh"})], ""),
        ([("Dense", {"units": 1}), ("ReLU", {})], ""),
    ],
)
def test_the_meaning_of_one_output_in_keras(
    last: list[tuple[str, dict[str, Any]]], head: str
) -> None:
    assert head_of(keras_config(INPUT, ("Flatten", {}), *last)) == head


def one_output(seed: int, end: str) -> tuple[Dense, bytes]:
    """An ONNX MLP 20-8-1 that ends in `end`."""
    dense = random_dense(seed, (20, 8, 1))
    (a, b) = dense.layers
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["s"]),
        helper.make_node("Relu", ["s"], ["r"]),
        helper.make_node("Gemm", ["r", "v", "c"], ["t" if end else "y"]),
        *([helper.make_node(end, ["t"], ["y"])] if end else []),
    ]
    held = {"w": a.weights, "b": a.bias, "v": b.weights, "c": b.bias}
    return dense, onnx_bytes(nodes, held, ["n", 20], 1)


@pytest.mark.parametrize(("end", "least"), [("", 0.0), ("Sigmoid", 0.5)])
def test_one_output_decides_between_two_classes(tmp_path: Path, end: str, least: float) -> None:
    """Labels, verdicts and counts are those of the rule, by onnxruntime itself."""
    statuses = set()
    for seed in range(12):
        _, data = one_output(seed, end)
        path = tmp_path / f"{seed}.onnx"
        path.write_bytes(data)
        network = load_network(path, image_shape=SHAPE, classes=2)
        assert (network.head, network.dense is not None) == (
            "probability" if end else "logit",
            True,
        )
        assert probed(network).black_box == ""
        session: Any = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
        image = np.random.default_rng(seed).integers(0, 256, SHAPE, dtype=np.uint8)
        rungs = rung_set(Ladder(Fraction(4), Fraction(1, 2), 8, 2), image)
        masks = np.concatenate([*blocks(rungs)])
        alone = [session.run(None, {"x": row[None]})[0][0, 0] for row in rungs.images(masks)]
        truth = (np.array(alone) > least).astype(int)
        opened = Opened(network, open_network(network), open_network(network, batch=1))
        assert (labels(opened.replayer.outputs(rungs.images(masks))) == truth).all()
        base = int(session.run(None, {"x": rungs.base[None]})[0][0, 0] > least)
        decision = decide(Query(rungs, Label(base), (opened,), Budget(600), True), "auto")
        assert decision.each[0].effective == int((truth != base).sum())
        statuses.add(decision.verdicts[0].status)
    assert statuses == {Status.ROBUST, Status.NOT_ROBUST}


def blocks(rungs: Any) -> Any:
    return whole(rungs).blocks(512)


def test_ties_of_one_output_are_class_0() -> None:
    below, above = np.nextafter(np.float32(0.5), np.array([0, 1], np.float32))
    p = np.array([[0.5], [above], [below], [0], [1], [np.nan]], np.float32)
    assert labels(two_columns(p, "probability")).tolist() == [0, 1, 0, 0, 1, -1]
    tiny = np.float32(2.0**-149)
    z = np.array([[0], [-0.0], [tiny], [-tiny], [np.inf], [np.nan]], np.float32)
    assert labels(two_columns(z, "logit")).tolist() == [0, 0, 1, 0, 1, -1]
    eighths = (np.arange(-128, 128, dtype=np.float32)[:, None] + 128) * np.float32(1 / 256)
    assert labels(two_columns(eighths, "probability")).tolist() == [0] * 129 + [1] * 127


def test_an_output_of_unknown_meaning_is_refused(tmp_path: Path) -> None:
    (tmp_path / "n.onnx").write_bytes(one_output(1, "Tanh")[1])
    with pytest.raises(ShapeError, match="a logit or a probability"):
        load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=2)
    (tmp_path / "n.onnx").write_bytes(one_output(1, "")[1])
    with pytest.raises(ShapeError, match="has 1 outputs, the data set 3 classes"):
        load_network(tmp_path / "n.onnx", image_shape=SHAPE, classes=3)


def labelled(zipmap: bool, second: bool = False) -> bytes:
    """As skl2onnx writes it: a label, and probabilities or ZipMap's maps of labels 0, 1, 2."""
    (layer,) = random_dense(4, (20, 3)).layers
    nodes = [
        helper.make_node("Gemm", ["x", "w", "b"], ["s"]),
        helper.make_node("Softmax", ["s"], ["p"]),
        helper.make_node("ArgMax", ["p"], ["label"], axis=1, keepdims=0),
    ]
    maps = helper.make_map_type_proto(
        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    )
    ends = [helper.make_tensor_value_info("label", TensorProto.INT64, ["n"])]
    if zipmap:
        nodes.append(
            helper.make_node(
                "ZipMap", ["p"], ["scores"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]
            )
        )
        ends.append(helper.make_value_info("scores", helper.make_sequence_type_proto(maps)))
    else:
        nodes.append(helper.make_node("Identity", ["p"], ["scores"]))
        ends.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", 3]))
    if second:
        ends.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, ["n", 3]))
    graph = helper.make_graph(
        nodes,
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 20])],
        ends,
        [numpy_helper.from_array(layer.weights, "w"), numpy_helper.from_array(layer.bias, "b")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return bytes(helper.make_model(graph, ir_version=8, opset_imports=opsets).SerializeToString())


@pytest.mark.parametrize("zipmap", [False, True])
def test_the_output_with_the_scores_is_taken(tmp_path: Path, zipmap: bool) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(labelled(zipmap))
    network = probed(load_network(path, image_shape=SHAPE, classes=3))
    assert (network.contract.output, network.dense is not None) == ("scores", True)
    images = np.random.default_rng(2).random((7, 20), dtype=np.float32)
    session: Any = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    expected = by_label(session, images)
    for batch in (1, None):
        outputs = open_network(network, batch=batch).outputs(images)
        assert np.allclose(outputs, expected, rtol=0, atol=1e-6)


def by_label(session: Any, images: Any) -> Any:
    """The scores by label, whatever form they have."""
    found = session.run(["scores"], {"x": images})[0]
    return np.array([[row[label] for label in (0, 1, 2)] for row in found])


def test_of_two_outputs_with_scores_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "n.onnx"
    path.write_bytes(labelled(False, second=True))
    with pytest.raises(ShapeError, match=r"3 outputs \(label, scores, s\).*--output scores"):
        load_network(path, image_shape=SHAPE, classes=3)
    for name in ("s", "scores"):
        asked = input_options(output=name)
        network = load_network(path, image_shape=SHAPE, classes=3, inputs=asked)
        assert network.contract.output == name
        sums = open_network(network).outputs(np.zeros((1, 20), np.float32)).sum()
        assert (abs(sums - 1) < 1e-5) == (name == "scores")
    for wrong in ("label", "other"):
        with pytest.raises(ShapeError, match=f"output '{wrong}' of"):
            asked = input_options(output=wrong)
            load_network(path, image_shape=SHAPE, classes=3, inputs=asked)


def test_a_litert_file_of_two_outputs(tmp_path: Path) -> None:
    def also(model: Any, graph: Any) -> None:
        first = graph.operators[0].outputs[0]
        graph.tensors[first].name = b"inner"
        graph.tensors[graph.outputs[0]].name = b"scores"
        graph.outputs = np.array([first, graph.outputs[0]], np.int32)
        model.signatureDefs = []

    path = tmp_path / "n.tflite"
    path.write_bytes(edited(FILES["float"], also))
    with pytest.raises(ShapeError, match=r"2 outputs \(inner, scores\)"):
        load_network(path, image_shape=SHAPE, classes=5)
    network = load_network(
        path, image_shape=SHAPE, classes=5, inputs=input_options(output="scores")
    )
    (tmp_path / "one.tflite").write_bytes(FILES["float"])
    plain = load_network(tmp_path / "one.tflite", image_shape=SHAPE, classes=5)
    images = np.random.default_rng(3).random((5, 20), dtype=np.float32)
    assert np.array_equal(
        open_network(network, batch=1).outputs(images), open_network(plain, batch=1).outputs(images)
    )


def test_resnet8_reads_levels() -> None:
    """MLPerf Tiny's pair on the first 500 CIFAR-10 test images; all 10,000 give 87.19 and
    86.97 %."""
    with np.load(shared_data("cifar10/cifar10_test.npz")) as data:
        images, truth = data["x_test"][:500], data["y_test"][:500].reshape(-1)
    found = []
    for name, options in (("", "255"), ("_quant", None)):
        path = shared_data(f"mlperf_tiny/pretrainedResnet{name}.tflite")
        network: Network = load_network(
            path, image_shape=(32, 32, 3), classes=10, inputs=input_options(options)
        )
        assert network.contract == LEVELS
        found.append(accuracy(open_network(network, 2), images, truth))
    assert min(found) > 0.84
    forgotten = replace(network, contract=InputContract())
    assert accuracy(open_network(forgotten, 2), images[:100], truth[:100]) < 0.3


@pytest.mark.parametrize(("end", "head"), [("logistic", "probability"), ("", "logit")])
def test_one_output_of_litert(tmp_path: Path, end: str, head: str) -> None:
    """Labels by the rule, from LiteRT's own output, and no bounds."""
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((1, 20)).astype(np.float32)
    data = write(20, Kind(), [Full(weights, None)])

    def finish(model: Any, graph: Any) -> None:
        output = int(graph.outputs[0])
        add_operator(model, graph, schema.BuiltinOperator.LOGISTIC, [output], output)

    path = tmp_path / "n.tflite"
    path.write_bytes(edited(data, finish) if end else data)
    network = load_network(path, image_shape=SHAPE, classes=2)
    assert (network.head, network.black_box) == (head, "one output for two classes")
    images = rng.random((50, 20), dtype=np.float32)
    said = labels(open_network(network, batch=1).outputs(images))
    assert said.tolist() == (images @ weights[0] > 0).astype(int).tolist()
    assert set(said.tolist()) == {0, 1}
