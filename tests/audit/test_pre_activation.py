"""A normalisation and a ReLU behind a sum, as in a ResNet v2, before a dense layer: onnxruntime's
quantiser takes a ReLU away where the codes begin at 0. The pair is faithful with and without it."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from tests.audit.test_standing import FAULTS, FORMS, IMAGE, Graph, compared, drawn, in_form
from tests.planted_onnx import quantised


def summed(graph: Graph) -> None:
    """Two convolutions, their sum, and a normalisation: 8 channels of 8x8 places."""
    graph.conv(8, 3, pads=[1, 1, 1, 1])
    first = graph.add("Relu")
    graph.conv(8, 8, pads=[1, 1, 1, 1])
    graph.add("Add", first, graph.value)
    graph.normal(8)


def pooled(graph: Graph) -> None:
    summed(graph)
    graph.add("Relu")
    graph.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    graph.add("Flatten")
    graph.gemm(3, 128)


def averaged(graph: Graph) -> None:
    summed(graph)
    graph.add("Relu")
    graph.add("GlobalAveragePool")
    graph.add("Flatten")
    graph.gemm(3, 8)


def flattened_first(graph: Graph) -> None:
    summed(graph)
    graph.add("Flatten")
    graph.add("Relu")
    graph.gemm(3, 512)


def multiplied_as_rows(graph: Graph) -> None:
    summed(graph)
    graph.add("Flatten")
    graph.add("Mul", graph.value, graph.drawn(1, 512, low=0.5, high=2))
    graph.add("Relu")
    graph.gemm(3, 512)


def channels_last(graph: Graph) -> None:
    summed(graph)
    graph.add("Relu")
    graph.add("Transpose", perm=[0, 2, 3, 1])
    graph.add("Flatten")
    graph.gemm(3, 512)


TOLD: dict[str, Callable[[Graph], None]] = {
    "a maximum behind it": pooled,
    "a mean behind it": averaged,
    "flattened before the ReLU": flattened_first,
    "multiplied behind another shape": multiplied_as_rows,
}
BUILT = {**TOLD, "flattened with channels last": channels_last}
ALL_FORMS = (*FORMS, "qdq, per tensor")


def made(name: str, form: str, folder: Path) -> tuple[bytes, bytes]:
    """The network and its quantisation, in which QDQ leaves no ReLU, and dynamic ranges all."""
    graph = Graph(IMAGE)
    BUILT[name](graph)
    data = graph.bytes()
    if form.endswith("per tensor"):
        other = quantised(data, drawn(IMAGE), per_channel=False)
    else:
        other = in_form(data, IMAGE, form, folder)
    nodes = onnx.load_model_from_string(other).graph.node
    rectifiers = [node for node in nodes if node.op_type == "Relu"]
    assert len(rectifiers) == 2 if form == "dynamic" else not rectifiers or form == "operators"
    return data, other


@pytest.mark.parametrize("form", ALL_FORMS)
@pytest.mark.parametrize("name", BUILT)
def test_a_normalisation_before_a_rectifier_is_no_fault(
    tmp_path: Path, name: str, form: str
) -> None:
    report = compared(*made(name, form, tmp_path), IMAGE, tmp_path)
    assert report.read
    assert report.diagnoses == ()
    assert all(row["beyond_rounding"] == 0 for row in report.layers)


@pytest.mark.parametrize("form", ALL_FORMS)
@pytest.mark.parametrize(("name", "fault"), list(itertools.product(TOLD, FAULTS)))
def test_one_that_the_file_makes_otherwise_is_told(
    tmp_path: Path, name: str, fault: str, form: str
) -> None:
    data, other = made(name, form, tmp_path)
    model = onnx.load_model_from_string(other)
    FAULTS[fault](model)
    found = compared(data, model.SerializeToString(), IMAGE, tmp_path).diagnoses
    assert [each.id for each in found] == ["changed-weights"]
    assert "Gemm" in found[0].sentence or "MatMul" in found[0].sentence
