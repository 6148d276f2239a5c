"""Outputs in float64 or integers keep their labels in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from hypothesis.extra.numpy import arrays
from onnx import TensorProto, helper

from relrob.networks.batches import narrowed, two_columns
from relrob.networks.evaluator import labels
from relrob.networks.load import load_network
from relrob.networks.open import open_network

WIDE = some.one_of(
    some.floats(allow_nan=False, width=64),
    some.sampled_from([1.0, 1.0 + 1e-12, 1.0 - 1e-12, 1e300, -1e300, 1e301, 1e-300, 0.0]),
    some.sampled_from([-1e301, -1e302, 3.5e38, -3.5e38, -3.4028235e38, -np.inf, np.inf]),
)


@settings(max_examples=200)
@given(arrays(np.float64, (3, 4), elements=WIDE))
def test_labels_of_float64_are_kept(rows: np.ndarray) -> None:
    found = narrowed(rows)
    assert found.dtype == np.float32
    assert labels(found).tolist() == rows.argmax(axis=1).tolist()


@settings(max_examples=100)
@given(arrays(np.int64, (3, 4), elements=some.integers(-(2**62), 2**62)))
def test_labels_of_integers_are_kept(rows: np.ndarray) -> None:
    assert labels(narrowed(rows)).tolist() == rows.argmax(axis=1).tolist()


def test_infinity_of_all_outputs_keeps_the_label_and_its_ties() -> None:
    """Beyond float32, downwards; and two that lead."""
    rows = np.array([[-1e39, -1e38 * 5, -1e40], [-1e301, -1e300, -1e300]])
    found = narrowed(rows)
    assert labels(found).tolist() == [1, 1]
    assert found[1, 1] == found[1, 2]


def test_float32_is_as_it_was_and_nan_stays() -> None:
    rows = np.array([[1, np.nan], [2, 2]], np.float32)
    assert narrowed(rows).tobytes() == rows.tobytes()
    wide = np.array([[1.0, np.nan], [1.0, 1.0 + 1e-12]])
    assert np.isnan(narrowed(wide)[0, 1])
    assert labels(narrowed(wide)).tolist() == [-1, 1]


@pytest.mark.parametrize(("head", "edge"), [("logit", 0.0), ("probability", 0.5)])
def test_one_output_above_its_threshold_stays_above(head: str, edge: float) -> None:
    values = np.array([[edge], [np.nextafter(edge, 1)], [np.nextafter(edge, -1)]])
    assert labels(two_columns(values, head)).tolist() == [0, 1, 0]


def test_an_onnx_file_with_outputs_in_float64_has_the_labels_of_onnxruntime(tmp_path: Path) -> None:
    """Two classes whose weights differ by less than float32 tells apart."""
    weights = np.array([[1.0, 1.0 + 1e-12], [1.0, 1.0 - 1e-12]])
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("MatMul", ["wide", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["n", 2])],
        [helper.make_tensor("w", TensorProto.DOUBLE, [2, 2], weights.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "wide.onnx")
    network = load_network(tmp_path / "wide.onnx", image_shape=(1, 2, 1), classes=2)
    images = np.array([[1, 0], [0, 1], [0.5, 0.5]], np.float32)
    for batch in (None, 1):
        outputs = open_network(network, batch=batch).outputs(images)
        assert labels(outputs).tolist() == (images @ weights).argmax(axis=1).tolist()
