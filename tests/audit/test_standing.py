"""Steps that onnxruntime's quantiser leaves beside the weights: the pair is faithful, and a step
that the file makes otherwise is told."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from relrob.audit.standing import places, undone, written
from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import compare_weights
from relrob.networks.load import load_network
from relrob.networks.weighted import Affine, Weighted
from tests.planted_onnx import quantised

Array = NDArray[Any]
IMAGE, ROW = (1, 3, 8, 8), (1, 12)


class Graph:
    """A graph in the making, each node on the value of the last one."""

    def __init__(self, dims: tuple[int, ...]) -> None:
        self.dims, self.value = dims, "x"
        self._nodes: list[Any] = []
        self._held: dict[str, Array] = {}
        self._rng = np.random.default_rng(7)

    def held(self, values: Any) -> str:
        """A constant."""
        name = f"c{len(self._held)}"
        self._held[name] = np.asarray(values, np.float32)
        return name

    def drawn(self, *shape: int, low: float = -0.5, high: float = 0.5) -> str:
        """A seeded constant."""
        return self.held(self._rng.uniform(low, high, shape))

    def add(self, kind: str, *inputs: str, **settings: Any) -> str:
        """A node; without inputs it reads the last value."""
        out = f"v{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(kind, list(inputs) or [self.value], [out], name=out, **settings)
        )
        self.value = out
        return out

    def conv(self, outputs: int, inputs: int, side: int = 3, **settings: Any) -> str:
        kernel = self.drawn(outputs, inputs, side, side)
        return self.add("Conv", self.value, kernel, self.drawn(outputs), **settings)

    def gemm(self, outputs: int, inputs: int, **settings: Any) -> str:
        weights = self.drawn(outputs, inputs)
        return self.add("Gemm", self.value, weights, self.drawn(outputs), transB=1, **settings)

    def normal(self, count: int) -> str:
        ends = (0.5, 1.5), (-0.3, 0.3), (-0.3, 0.3), (0.3, 2.0)
        constants = [self.drawn(count, low=low, high=high) for low, high in ends]
        return self.add("BatchNormalization", self.value, *constants)

    def bytes(self) -> bytes:
        """The model of three classes."""
        made = helper.make_graph(
            self._nodes,
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.dims)],
            [helper.make_tensor_value_info(self.value, TensorProto.FLOAT, [1, 3])],
            [numpy_helper.from_array(array, name) for name, array in self._held.items()],
        )
        opsets = [helper.make_opsetid("", 17)]
        return bytes(
            helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()
        )


def ended(graph: Graph, inputs: int) -> None:
    graph.add("Flatten")
    graph.gemm(3, inputs)


def conv_and_normal(graph: Graph) -> None:
    graph.conv(8, 3)
    graph.normal(8)
    graph.add("Relu")
    graph.conv(8, 8)
    graph.normal(8)
    graph.add("Relu")
    ended(graph, 128)


def normal_behind_relu(graph: Graph) -> None:
    graph.conv(8, 3)
    graph.add("Relu")
    graph.normal(8)
    graph.conv(8, 8)
    graph.add("Relu")
    ended(graph, 128)


def normal_on_both_sides_of_relu(graph: Graph) -> None:
    first = graph.conv(8, 3, pads=[1, 1, 1, 1])
    graph.add("Relu")
    graph.conv(8, 8, pads=[1, 1, 1, 1])
    graph.add("Add", graph.value, first)
    graph.normal(8)
    graph.add("Relu")
    graph.normal(8)
    graph.conv(8, 8, 1)
    graph.add("Relu")
    ended(graph, 512)


def factors_of_channels(graph: Graph) -> None:
    graph.add("Sub", graph.value, graph.drawn(1, 12, low=0.3, high=0.6))
    graph.add("Mul", graph.value, graph.drawn(1, 12, low=2, high=4))
    graph.gemm(24, 12)
    graph.add("Relu")
    graph.add("Mul", graph.value, graph.drawn(24, low=0.5, high=2))
    graph.gemm(24, 24)
    graph.add("Div", graph.value, graph.held([2.0]))
    graph.add("Relu")
    graph.gemm(3, 24)


def logits_scaled(graph: Graph) -> None:
    graph.conv(8, 3)
    graph.add("Relu")
    ended(graph, 288)
    graph.add("Mul", graph.value, graph.held([0.1]))


def rows_normalised(graph: Graph) -> None:
    graph.normal(12)
    graph.gemm(24, 12)
    graph.normal(24)
    graph.gemm(24, 24)
    graph.add("Relu")
    graph.normal(24)
    graph.gemm(3, 24)


def residual(graph: Graph) -> None:
    graph.conv(8, 3, pads=[1, 1, 1, 1])
    first = graph.add("Relu")
    graph.conv(8, 8, pads=[1, 1, 1, 1])
    graph.add("Add", first, graph.value)
    graph.add("Relu")
    ended(graph, 512)


def normal_before_pooling(graph: Graph) -> None:
    """6x6 places, of which the maximum keeps 3x3, and the means 2x2 and 1."""
    graph.conv(8, 3)
    graph.add("Relu")
    graph.normal(8)
    graph.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    graph.conv(8, 8, pads=[1, 1, 1, 1])
    graph.add("Relu")
    graph.normal(8)
    graph.add("AveragePool", kernel_shape=[2, 2])
    graph.conv(8, 8, pads=[1, 1, 1, 1])
    graph.add("Relu")
    graph.normal(8)
    graph.add("ReduceMean", axes=[2, 3], keepdims=0)
    graph.gemm(3, 8)


def normal_before_groups(graph: Graph) -> None:
    """Each half of the outputs reads half of the channels."""
    graph.conv(8, 3)
    graph.add("Relu")
    graph.normal(8)
    graph.conv(6, 4, group=2)
    graph.add("Relu")
    ended(graph, 96)


def shifted_and_clipped(graph: Graph) -> None:
    graph.conv(8, 3)
    graph.add("Add", graph.value, graph.held(3.0))
    graph.add("Clip", graph.value, graph.held(0.0), graph.held(6.0))
    graph.add("Div", graph.value, graph.held(6.0))
    graph.conv(8, 8)
    graph.add("Relu")
    ended(graph, 128)


BUILT: dict[str, tuple[Callable[[Graph], None], tuple[int, ...]]] = {
    "normalisations behind convolutions": (conv_and_normal, IMAGE),
    "a normalisation behind a ReLU": (normal_behind_relu, IMAGE),
    "normalisations on both sides of a ReLU": (normal_on_both_sides_of_relu, IMAGE),
    "factors of channels": (factors_of_channels, ROW),
    "logits that are scaled": (logits_scaled, IMAGE),
    "rows that are normalised": (rows_normalised, ROW),
    "a residual": (residual, IMAGE),
    "normalisations before pooling": (normal_before_pooling, IMAGE),
    "a normalisation before groups": (normal_before_groups, IMAGE),
    "a constant before a clip": (shifted_and_clipped, IMAGE),
}
FORMS = ("qdq", "qdq, folded", "operators", "dynamic")


def built(name: str) -> Graph:
    build, dims = BUILT[name]
    graph = Graph(dims)
    build(graph)
    return graph


def drawn(dims: tuple[int, ...]) -> Array:
    return np.random.default_rng(1).random((64, *dims[1:]), dtype=np.float32)


def in_form(data: bytes, dims: tuple[int, ...], form: str, folder: Path) -> bytes:
    """The model as onnxruntime's quantiser writes it."""
    if form != "dynamic":
        return quantised(data, drawn(dims), operators=form == "operators", fold="folded" in form)
    (folder / "float.onnx").write_bytes(data)
    quantize_dynamic(folder / "float.onnx", folder / "dynamic.onnx")
    return (folder / "dynamic.onnx").read_bytes()


def compared(reference: bytes, other: bytes, dims: tuple[int, ...], folder: Path) -> WeightReport:
    shape = (8, 8, 3) if dims == IMAGE else (1, 12, 1)
    made = {"reference.onnx": reference, "quantised.onnx": other}
    for name, data in made.items():
        (folder / name).write_bytes(data)
    ours, theirs = (load_network(folder / name, image_shape=shape, classes=3) for name in made)
    images = drawn(dims)
    if dims == IMAGE:
        images = images.transpose(0, 2, 3, 1)
    return compare_weights(ours, theirs, images.reshape(len(images), -1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", BUILT)
def test_steps_that_stand_beside_the_weights_are_no_fault(
    tmp_path: Path, name: str, form: str
) -> None:
    graph = built(name)
    data = graph.bytes()
    report = compared(data, in_form(data, graph.dims, form, tmp_path), graph.dims, tmp_path)
    assert report.read
    assert report.diagnoses == ()
    assert all(row["beyond_rounding"] == 0 for row in report.layers)


def at(place: int, change: Callable[[Array], Array]) -> Callable[[onnx.ModelProto], None]:
    """A constant of the first normalisation is another."""

    def edit(model: onnx.ModelProto) -> None:
        node = next(n for n in model.graph.node if n.op_type == "BatchNormalization")
        for held in model.graph.initializer:
            if held.name in (node.input[place], node.input[place].replace("_Dequ", "_quant")):
                made = change(numpy_helper.to_array(held).copy()).astype(np.float32)
                held.CopyFrom(numpy_helper.from_array(made, held.name))

    return edit


def gone(model: onnx.ModelProto) -> None:
    """The first normalisation is left out."""
    node = next(n for n in model.graph.node if n.op_type == "BatchNormalization")
    for reader in model.graph.node:
        for place, name in enumerate(reader.input):
            if name == node.output[0]:
                reader.input[place] = node.input[0]
    model.graph.node.remove(node)


FAULTS: dict[str, Callable[[onnx.ModelProto], None]] = {
    "left out": gone,
    "means of other channels": at(3, lambda values: np.roll(values, 1)),
    "smaller means": at(3, lambda values: values * np.float32(0.8)),
    "a variance": at(4, lambda values: values * (1 + 3 * (np.arange(len(values)) == 2))),
}
NORMALISED = [
    *("a normalisation behind a ReLU", "normalisations before pooling"),
    *("normalisations on both sides of a ReLU", "a normalisation before groups"),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "fault"), list(itertools.product(NORMALISED, FAULTS)))
def test_a_step_that_the_file_makes_otherwise_is_told(
    tmp_path: Path, name: str, fault: str, form: str
) -> None:
    graph = built(name)
    data = graph.bytes()
    model = onnx.load_model_from_string(in_form(data, graph.dims, form, tmp_path))
    FAULTS[fault](model)
    found = compared(data, model.SerializeToString(), graph.dims, tmp_path).diagnoses
    assert [each.id for each in found if each.id == "changed-weights"] == ["changed-weights"]
    assert all("Conv" in each.sentence for each in found if each.id == "changed-weights")


@pytest.mark.parametrize(
    "change", [lambda v: np.roll(v, 1), lambda v: v * (np.arange(len(v)) != 2)], ids=["roll", "0"]
)
def test_so_are_factors(tmp_path: Path, change: Callable[[Array], Array]) -> None:
    graph = built("a normalisation behind a ReLU")
    data = graph.bytes()
    model = onnx.load_model_from_string(in_form(data, graph.dims, "dynamic", tmp_path))
    at(1, change)(model)
    found = compared(data, model.SerializeToString(), graph.dims, tmp_path).diagnoses
    assert [each.id for each in found] == ["changed-weights"]


def test_another_state_of_most_normalisations_is_stale(tmp_path: Path) -> None:
    graph = built("normalisations behind convolutions")
    data = graph.bytes()
    model = onnx.load_model_from_string(in_form(data, graph.dims, "dynamic", tmp_path))
    for node in [each for each in model.graph.node if each.op_type == "BatchNormalization"]:
        held = next(each for each in model.graph.initializer if each.name == node.input[3])
        moved = numpy_helper.to_array(held) * np.float32(0.7)
        held.CopyFrom(numpy_helper.from_array(moved, held.name))
    found = compared(data, model.SerializeToString(), graph.dims, tmp_path).diagnoses
    assert [each.id for each in found] == ["stale-weights"]


@pytest.mark.parametrize("form", ["qdq", "dynamic"])
def test_a_factor_of_the_bias_that_the_file_has_lost_is_told(tmp_path: Path, form: str) -> None:
    """The converter is given a Gemm without its beta."""

    def build(**settings: float) -> bytes:
        graph = Graph(ROW)
        graph.gemm(24, 12, **settings)
        graph.add("Relu")
        graph.gemm(3, 24)
        return graph.bytes()

    lost = compared(build(beta=0.5), in_form(build(), ROW, form, tmp_path), ROW, tmp_path)
    assert [each.id for each in lost.diagnoses] == ["changed-bias"]
    kept = compared(build(alpha=0.5), in_form(build(alpha=0.5), ROW, form, tmp_path), ROW, tmp_path)
    assert kept.diagnoses == ()


def layer(**fields: Any) -> Weighted:
    rng = np.random.default_rng(4)
    return Weighted("", "dense", rng.normal(size=(3, 4)), (4,), "float32", 1, **fields)


@pytest.mark.parametrize("place", ["before", "behind"])
def test_what_is_left_and_what_stands_make_the_whole(place: str) -> None:
    """Some of the reference's steps stand in the file; its weights hold the others."""
    rng, count = np.random.default_rng(5), 4 if place == "before" else 3
    one, two, file = (Affine(rng.normal(size=count), rng.normal(size=count)) for _ in range(3))
    given = rng.normal(size=4)
    if place == "before":
        ours = layer(known=True).fed_by([one, two])
        theirs = layer(known=True, before_off=(Affine(np.zeros(1), np.zeros(1)),)).fed_by([file])
        read = (given * one.factor + one.shift) * two.factor + two.shift
        wanted, given = ours.values @ read, given * file.factor + file.shift
    else:
        bare = layer()
        ours = layer(behind=(one, two), bare=bare)
        theirs = layer(after=(file,))
        made = ((bare.values @ given) * one.factor + one.shift) * two.factor + two.shift
        wanted = (made - file.shift) / file.factor
    *_, whole = written(ours, theirs)
    assert whole.bias is not None
    np.testing.assert_allclose(whole.values @ given + whole.bias, wanted)
    assert undone(whole, theirs) == ()
    first = next(written(ours, theirs))
    assert places(undone(first, theirs)) == count


def test_readers_that_do_not_tell_all_steps_are_not_held_to_them() -> None:
    step = Affine(np.full(1, 2.0), np.zeros(1))
    ours, theirs = layer(known=True).fed_by([step]), layer()
    first, *_ = written(ours, theirs)
    assert undone(first, theirs) == ()
    assert places(undone(first, layer(known=True))) == 4
