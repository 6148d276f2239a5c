"""Codes of activations against the values that they should hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from relrob.audit.weight_report import WeightReport
from relrob.audit.weights import compare_weights
from relrob.networks.load import load_network
from tests import planted_onnx


def branched(order: tuple[str, ...]) -> bytes:
    """Two dense layers of one shape, of which one is rectified, and one that reads both; the nodes
    in this order."""
    rng = np.random.default_rng(3)
    shapes = {"one": (8, 12), "two": (8, 12), "last": (5, 16)}
    held = [
        numpy_helper.from_array(values.astype(np.float32), f"{name}_{kind}")
        for name, shape in shapes.items()
        for kind, values in (("w", rng.normal(0, 0.3, shape)), ("b", rng.normal(0, 0.3, shape[0])))
    ]
    nodes = {
        name: helper.make_node("Gemm", [given, f"{name}_w", f"{name}_b"], [name], name, transB=1)
        for name, given in (("one", "x"), ("two", "x"), ("last", "both"))
    }
    nodes["relu"] = helper.make_node("Relu", ["one"], ["positive"], "relu")
    nodes["join"] = helper.make_node("Concat", ["positive", "two"], ["both"], "join", axis=1)
    ends = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])]
        for name, size in (("x", 12), ("last", 5))
    ]
    graph = helper.make_graph([nodes[name] for name in order], "branches", *ends, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def compared(folder: Path, reference: bytes, quantised: bytes, images: np.ndarray) -> WeightReport:
    """The weights of two ONNX models that read 12 values."""
    (folder / "reference.onnx").write_bytes(reference)
    (folder / "quantised.onnx").write_bytes(quantised)
    one, other = (
        load_network(folder / f"{name}.onnx", image_shape=(1, 12, 1), classes=5)
        for name in ("reference", "quantised")
    )
    return compare_weights(one, other, images)


def test_a_branch_that_the_converter_moved_is_held_against_its_own_values(tmp_path: Path) -> None:
    images = np.random.default_rng(1).random((64, 12), dtype=np.float32)
    reference = branched(("one", "relu", "two", "join", "last"))
    moved = planted_onnx.quantised(
        branched(("two", "one", "relu", "join", "last")), images, operators=True
    )
    report = compared(tmp_path, reference, moved, images)
    assert report.read
    assert report.diagnoses == ()
    ends = [each.reference for each in report.activations if each.role == "output"]
    lows = [low for low, _ in filter(None, ends)]
    assert len(lows) == 3
    # The branch without a ReLU comes first.
    assert lows[0] < -0.3
    assert lows[1] >= 0.0
