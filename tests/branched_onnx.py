"""An ONNX graph with a main path and a shortcut, whose nodes stand in one order or the other."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

from tests.planted_onnx import quantised

Array = NDArray[Any]
SHAPE = (6, 6, 3)
FORMS = ("float", "qdq", "qdq, folded", "operators", "dynamic")


def images() -> Array:
    """Seeded images (64, 3, 6, 6)."""
    return np.random.default_rng(1).random((64, 3, 6, 6), dtype=np.float32)


def branched(side: int = 1, *, shortcut_first: bool = False, swapped: bool = False) -> bytes:
    """The stem, behind which a ReLU, "first" (1x1), a ReLU and "second" (3x3) make the main path,
    and "shortcut" (`side` x `side`), which reads the stem as it is, is added to them. `swapped`:
    "first" and "shortcut" hold each other's weights."""
    rng = np.random.default_rng(5)
    held: dict[str, Array] = {}
    for name, inputs, width in (
        *(("stem", 3, 3), ("first", 8, 1), ("second", 8, 3), ("shortcut", 8, side)),
    ):
        held[f"{name}_w"] = rng.uniform(-0.5, 0.5, (8, inputs, width, width))
        held[f"{name}_b"] = rng.uniform(-0.5, 0.5, 8)
    held["last_w"], held["last_b"] = rng.uniform(-0.5, 0.5, (3, 8)), rng.uniform(-0.5, 0.5, 3)
    holds = {"first": "shortcut", "shortcut": "first"} if swapped else {}

    def conv(name: str, given: str, width: int) -> Any:
        weights = [f"{holds.get(name, name)}_{each}" for each in "wb"]
        pads = [width // 2] * 4
        return helper.make_node("Conv", [given, *weights], [f"{name}_y"], name=name, pads=pads)

    main = [
        *(helper.make_node("Relu", ["stem_y"], ["stem_r"]), conv("first", "stem_r", 1)),
        *(helper.make_node("Relu", ["first_y"], ["first_r"]), conv("second", "first_r", 3)),
    ]
    beside = [conv("shortcut", "stem_y", side)]
    nodes = [
        conv("stem", "x", 3),
        *(beside + main if shortcut_first else main + beside),
        helper.make_node("Add", ["second_y", "shortcut_y"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["sum_r"]),
        helper.make_node("GlobalAveragePool", ["sum_r"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "last_w", "last_b"], ["y"], name="last", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(each.astype(np.float32), name) for name, each in held.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())


def in_form(data: bytes, form: str) -> bytes:
    """The model as onnxruntime's quantiser writes it, in one of `FORMS`."""
    if form == "float":
        return data
    if form != "dynamic":
        return quantised(data, images(), operators=form == "operators", fold="folded" in form)
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "float.onnx"), Path(folder, "dynamic.onnx")
        source.write_bytes(data)
        quantize_dynamic(source, out)
        return out.read_bytes()
