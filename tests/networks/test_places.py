"""An image's verdict is that of the image run alone, where the runtime rounds by the place in a
batch.

The judges are the runtimes, one image at a time.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper, numpy_helper

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.domain.region import Ladder
from relrob.judging.judges import FoldedJudge, RuntimeJudge, judge_of
from relrob.networks.evaluator import near_ties
from relrob.networks.keras.config import parse
from relrob.networks.keras.wiring import treats_apart
from relrob.networks.load import load_network
from relrob.networks.open import Opened, open_network
from relrob.networks.probes import probed
from relrob.queries.properties import Label
from relrob.regions.ladder import rung_set
from tests.support import random_dense

WIDTH = 7
KINDS = [
    "Acos",
    "Asin",
    "Atan",
    "Celu",
    "Cos",
    "Elu",
    "Exp",
    "Log",
    "Reciprocal",
    "Selu",
    "Sigmoid",
    "Sin",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
]


def a_file(
    path: Path, nodes: list[tuple[str, list[str]]], shape: tuple[int, ...], **constants: Any
) -> Any:
    """A chain over images of `shape` to two scores, and onnxruntime on it."""
    made, value = [], "x"
    for number, (kind, names) in enumerate(nodes):
        made.append(helper.make_node(kind, [value, *names], [f"v{number}"]))
        value = f"v{number}"
    made[-1].output[0] = "y"
    graph = helper.make_graph(
        made,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 2])],
        [numpy_helper.from_array(np.asarray(held), name) for name, held in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


def alone(session: Any, images: Floats) -> Floats:
    return np.concatenate([session.run(None, {"x": image[None]})[0] for image in images])


@pytest.mark.parametrize("kind", KINDS)
def test_an_onnx_file_runs_in_batches_only_where_they_change_no_bit(
    kind: str, tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    weights = rng.standard_normal((WIDTH, 2)).astype(np.float32)
    session = a_file(tmp_path / "f.onnx", [(kind, []), ("Gemm", ["w"])], (WIDTH,), w=weights)
    images = rng.random((200, WIDTH), dtype=np.float32)
    expected = alone(session, images)
    network = load_network(tmp_path / "f.onnx", image_shape=(1, WIDTH, 1), classes=2)
    assert np.array_equal(open_network(network).outputs(images), expected)
    if kind in ("Exp", "Sigmoid", "Tanh", "Sqrt"):
        assert network.apart, "strictness is not blindness"


@pytest.mark.parametrize("axes", [(1,), (2,), (3,), (1, 2), (2, 3), (1, 2, 3)])
@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax"])
def test_sums_over_some_axes_run_in_batches(
    kind: str, axes: tuple[int, ...], tmp_path: Path
) -> None:
    rng = np.random.default_rng(6)
    nodes = [
        helper.make_node(kind, ["x"], ["m"], axes=axes, keepdims=1),
        helper.make_node("Sub", ["x", "m"], ["d"]),
        helper.make_node("Flatten", ["d"], ["f"]),
        helper.make_node("Gemm", ["f", "w"], ["y"]),
    ]
    weights = numpy_helper.from_array(rng.standard_normal((144, 2)).astype(np.float32), "w")
    value = helper.make_tensor_value_info
    ends = (
        value("x", onnx.TensorProto.FLOAT, ["n", 4, 6, 6]),
        value("y", onnx.TensorProto.FLOAT, ["n", 2]),
    )
    graph = helper.make_graph(nodes, "g", [ends[0]], [ends[1]], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "f.onnx")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = rng.random((100, 4, 6, 6), dtype=np.float32)
    network = load_network(tmp_path / "f.onnx", image_shape=(6, 6, 4), classes=2, layout="chw")
    rows = images.transpose(0, 2, 3, 1).reshape(100, -1)
    assert np.array_equal(open_network(network).outputs(rows), alone(session, images))
    assert network.apart or (kind, axes) in {
        ("ReduceMean", (1,)),
        ("ReduceMean", (2,)),
        ("ReduceMean", (1, 2)),
    }


@pytest.mark.parametrize(
    ("activation", "apart"), [("relu", True), ("tanh", True), ("sigmoid", False), ("elu", False)]
)
def test_keras_activations_that_round_by_place(activation: str, apart: bool) -> None:
    layers = [
        {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 5]}},
        {"class_name": "Dense", "config": {"name": "d", "units": 4, "activation": activation}},
    ]
    model = parse(
        json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": layers}}), "file"
    )
    assert treats_apart(model) is apart


def test_a_needle_that_only_an_image_alone_shows(tmp_path: Path) -> None:
    """Log of one pixel value has another last bit in a whole vector; the file makes 64 of that bit,
    and 0 of any other value."""
    f = np.float32
    probe = a_file(tmp_path / "log.onnx", [("Log", [])], (WIDTH,))
    values = np.linspace(0.2, 0.5, 4097).astype(f)
    images = np.repeat(values[:, None], WIDTH, axis=1)
    single, many = alone(probe, images)[:, -1], probe.run(None, {"x": images})[0][:, -1]
    off = np.flatnonzero(single != many)
    if not len(off):
        pytest.skip("onnxruntime rounds Log alike in any place on this processor")
    value = next(values[k] for k in off if f(float(f(values[k] - f(1 / 8))) + 1 / 8) == values[k])
    bits = {float(single[values == value][0]), float(many[values == value][0])}
    chosen = np.zeros((WIDTH, 2), f)
    chosen[-1, 1] = 1
    steps = [
        ("Log", []),
        ("Sub", ["c"]),
        ("Mul", ["a"]),
        ("Abs", []),
        ("Sub", ["s"]),
        ("Abs", []),
        ("Neg", []),
    ]
    steps += [("Add", ["t"]), ("Relu", []), ("Gemm", ["w", "b"])]
    session = a_file(
        tmp_path / "f.onnx",
        steps,
        (WIDTH,),
        c=f(many[values == value][0]),
        a=f(64 / (max(bits) - min(bits))),
        s=f(64),
        t=f(100),
        w=chosen,
        b=np.array([50, 0], f),
    )
    base = np.full((1, WIDTH, 1), f(value - f(1 / 8)), f)
    network = probed(load_network(tmp_path / "f.onnx", image_shape=(1, WIDTH, 1), classes=2))
    rungs = rung_set(Ladder(Fraction(1), Fraction(1, 8), WIDTH, 1), base)
    masks = np.array([[bool(n >> g & 1) for g in range(WIDTH)] for n in range(2**WIDTH)])
    expected = alone(session, rungs.images(masks)).argmax(axis=1)
    assert 0 < expected.sum() < len(masks)
    opened = Opened(network, open_network(network), open_network(network, batch=1))
    assert np.array_equal(judge_of(opened, rungs, Label(0)).see(masks).labels, expected)


def test_weights_that_a_caller_may_replace_keep_images_apart(tmp_path: Path) -> None:
    """They are not packed: onnxruntime sums the products of one row in another order than those of
    many."""
    rng = np.random.default_rng(7)
    weights = rng.standard_normal((WIDTH * 9, 2)).astype(np.float32)
    a_file(tmp_path / "f.onnx", [("Tanh", []), ("Gemm", ["w"])], (WIDTH * 9,), w=weights)
    model = onnx.load(tmp_path / "f.onnx")
    model.graph.input.append(
        helper.make_tensor_value_info("w", onnx.TensorProto.FLOAT, weights.shape)
    )
    onnx.save(model, tmp_path / "f.onnx")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images = rng.random((300, WIDTH * 9), dtype=np.float32)
    network = load_network(tmp_path / "f.onnx", image_shape=(9, WIDTH, 1), classes=2)
    assert not network.apart
    assert np.array_equal(open_network(network).outputs(images), alone(session, images))


def test_near_ties_are_those_that_rounding_could_change() -> None:
    rows = np.array(
        [[1, 2, 3], [1, 3, 3], [0, 1, 1 + 2**-11], [1, 0, np.nan], [0, 0, 0], [np.inf, 1, 2]],
        np.float32,
    )
    assert near_ties(rows).tolist() == [1, 2, 3, 4, 5]


@dataclass
class Shaken:
    """A runtime whose last bits depend on the batch: the second output is a little larger in one of
    several images."""

    inner: Any
    best_batch: int
    runtime: str = "onnxruntime"

    def outputs(self, images: Floats) -> Floats:
        found: Floats = self.inner.outputs(images).copy()
        found[:, 1] *= np.float32(1 + 1e-6) if self.best_batch > 1 else np.float32(1)
        return found


@pytest.mark.parametrize("modelled", [True, False])
def test_points_near_a_tie_are_judged_alone(modelled: bool) -> None:
    """Two equal outputs: the first wins, unless a batch makes the second one larger."""
    dense = random_dense(3, (9, 6, 1))
    last = dense.layers[-1]
    both = np.repeat(np.abs(last.weights), 2, axis=1)
    layers = (dense.layers[0], type(last)(both, np.ones(2, np.float32), relu=False))
    network = Network(
        path="n.onnx",
        sha256="0" * 64,
        format="onnx",
        runtime="onnxruntime",
        inputs=9,
        classes=2,
        image_shape=(3, 3, 1),
        dense=type(dense)(layers),
    )

    @dataclass
    class Plain:
        def outputs(self, images: Floats) -> Floats:
            hidden = np.maximum(images @ layers[0].weights + layers[0].bias, 0)
            return np.repeat((hidden @ both[:, :1] + 1).astype(np.float32), 2, axis=1)

    opened = Opened(network, Shaken(Plain(), 64), Shaken(Plain(), 1))
    rungs = rung_set(
        Ladder(Fraction(3), Fraction(1, 4), 6, 1),
        np.random.default_rng(0).random((3, 3, 1), np.float32),
    )
    masks = np.array([[bool(n >> g & 1) for g in range(6)] for n in range(8)])
    assert (Shaken(Plain(), 64).outputs(rungs.images(masks)).argmax(axis=1) == 1).all(), (
        "nothing to be careful about"
    )
    judge = judge_of(opened, rungs, Label(0)) if modelled else RuntimeJudge(opened, rungs, Label(0))
    assert isinstance(judge, FoldedJudge) is modelled
    seen = judge.see(masks)
    assert (seen.labels == 0).all()
    assert (seen.margins == 0).all()
