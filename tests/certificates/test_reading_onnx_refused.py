"""The checker's reader of `.onnx` files has no rules for hostile edits and unknown fields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from relrob.certificates.checking.deployed import NoRulesError
from relrob.networks.onnx.export import to_onnx
from tests.certificates.onnx_files import (
    BASE,
    FIRST,
    NORMS,
    TAIL,
    Constants,
    f32,
    file,
    node,
)
from tests.reading_cases import read
from tests.support import random_dense

REFUSED: dict[str, tuple[list[onnx.NodeProto], Constants, str]] = {
    "dropout that trains": (
        [node("Dropout", "x r t", "d"), node("Gemm", "d w1 b1", "p"), *TAIL],
        {"r": np.float32(0.5), "t": np.array(True)},
        "tensor|train",
    ),
    "training without a ratio": (
        [helper.make_node("Dropout", ["x", "", "t"], ["d"]), node("Gemm", "d w1 b1", "p"), *TAIL],
        {"t": np.array(True)},
        "tensor|train",
    ),
    "a sum over the batch": (
        [node("ReduceMin", "x", "d", axes=[0], keepdims=1), node("Gemm", "d w1 b1", "p"), *TAIL],
        {},
        "operator",
    ),
    "a value used twice": (
        [FIRST, node("Relu", "p", "h"), node("Mul", "h h", "k"), node("Gemm", "k w2 b2", "y")],
        {},
        "chain",
    ),
    "a residual": (
        [FIRST, node("Relu", "p", "h"), node("Add", "h p", "k"), node("Gemm", "k w2 b2", "y")],
        {},
        "constant",
    ),
    "transA": ([node("Gemm", "x w1 b1", "p", transA=1), *TAIL], {}, "transposed"),
    "a softmax in the middle": ([FIRST, node("Softmax", "p", "h"), TAIL[1]], {}, "after a softmax"),
    "a sigmoid": ([FIRST, node("Sigmoid", "p", "h"), TAIL[1]], {}, "operator"),
    "a reshape that mixes the batch": (
        [node("Reshape", "x s", "f"), node("Gemm", "f w1 b1", "p"), *TAIL],
        {"s": np.array([16, -1])},
        "batch",
    ),
    "a division by 0": (
        [node("Div", "x c", "f"), node("Gemm", "f w1 b1", "p"), *TAIL],
        {"c": f32(0)},
        "0, huge or tiny",
    ),
    "a product with 0": (
        [node("Mul", "x c", "f"), node("Gemm", "f w1 b1", "p"), *TAIL],
        {"c": f32(0)},
        "0, huge or tiny",
    ),
    "a constant that may count as 0": (
        [node("Add", "x c", "f"), node("Gemm", "f w1 b1", "p"), *TAIL],
        {"c": f32(1e-40)},
        "count as 0",
    ),
    "a huge factor": (
        [node("Mul", "x c", "f"), node("Gemm", "f w1 b1", "p"), *TAIL],
        {"c": f32(1e30)},
        "huge",
    ),
    "a constant divided by the value": (
        [node("Div", "c x", "f"), node("Gemm", "f w1 b1", "p"), *TAIL],
        {"c": f32(1)},
        "other inputs",
    ),
    "half precision": (
        [
            node("Cast", "x", "f", to=TensorProto.FLOAT16),
            node("Cast", "f", "k", to=TensorProto.FLOAT),
            node("Gemm", "k w1 b1", "p"),
            *TAIL,
        ],
        {},
        "another type",
    ),
    "a clip below 0": (
        [FIRST, node("Clip", "p c", "h"), TAIL[1]],
        {"c": f32(-1).reshape(())},
        "no ReLU",
    ),
    "a clip that ends": (
        [FIRST, node("Clip", "p c d", "h"), TAIL[1]],
        {"c": np.float32(0), "d": np.float32(6)},
        "no ReLU",
    ),
    "a clip without an end": ([FIRST, node("Clip", "p", "h"), TAIL[1]], {}, "no ReLU"),
    "the batch squeezed": (
        [node("Squeeze", "x s", "f"), FIRST, *TAIL],
        {"s": np.array([0])},
        "of the batch",
    ),
    "pixels squeezed": (
        [node("Squeeze", "x s", "f"), FIRST, *TAIL],
        {"s": np.array([1])},
        "several values",
    ),
    "the batch unsqueezed": (
        [node("Unsqueeze", "x s", "f"), FIRST, *TAIL],
        {"s": np.array([-3])},
        "of the batch",
    ),
    "an axis that is not there": (
        [node("Squeeze", "x s", "f"), FIRST, *TAIL],
        {"s": np.array([2])},
        "not there",
    ),
    "a copy of what is not there": ([FIRST, node("Identity", "q", "r"), *TAIL], {}, "Identity"),
    "a ReLU after a scale": (
        [
            FIRST,
            node("Relu", "p", "h"),
            node("Mul", "h c", "k"),
            node("Relu", "k", "l"),
            node("Gemm", "l w2 b2", "y"),
        ],
        {"c": f32(-0.5)},
        "follows no dense",
    ),
    "constants that grow between layers": (
        [
            FIRST,
            node("Add", "p c", "k"),
            node("Add", "k c", "l"),
            node("Mul", "l c", "m"),
            node("Gemm", "m w2 b2", "y"),
        ],
        {"c": f32(2.0**40)},
        "huge",
    ),
    "a ReLU at the end": (
        [FIRST, node("Relu", "p", "h"), node("Gemm", "h w2 b2", "z"), node("Relu", "z", "y")],
        {},
        "no dense layer at the end",
    ),
    "a ReLU on pixels": (
        [node("Relu", "x", "k"), node("Gemm", "k w1 b1", "p"), *TAIL],
        {},
        "follows no dense",
    ),
    "a batch normalisation of a variance below 0": (
        [node("Gemm", "x w1 b1", "q"), node("BatchNormalization", "q g b m v", "p"), *TAIL],
        NORMS | {"v": -NORMS["v"]},
        "variance",
    ),
    "a batch normalisation that trains": (
        [
            node("Gemm", "x w1 b1", "q"),
            node("BatchNormalization", "q g b m v", "p", training_mode=1),
            *TAIL,
        ],
        NORMS,
        "trains|attribute",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_has_no_rules(name: str, tmp_path: Path) -> None:
    nodes, more, words = REFUSED[name]
    values = [
        numpy_helper.from_array(np.asarray(array), key) for key, array in (BASE | more).items()
    ]
    ends = [
        helper.make_tensor_value_info(key, TensorProto.FLOAT, d)
        for key, d in (("x", ("n", 16)), ("y", ("n", 3)))
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "t", [ends[0]], [ends[1]], values),
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
    )
    with pytest.raises(NoRulesError) as caught:
        read(model.SerializeToString(), tmp_path, kind="onnx", runtime="onnxruntime")
    assert any(word in str(caught.value) for word in words.split("|")), str(caught.value)


def _model(change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_model_from_string(file([FIRST, *TAIL], BASE))
    change(model)
    return bytes(model.SerializeToString())


def _external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")


CHANGED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "external data": (_external, "field 13"),
    "a function": (lambda m: m.functions.add(name="Relu"), "field 25"),
    "training": (lambda m: m.training_info.add(), "field 20"),
    "a sparse constant": (lambda m: m.graph.sparse_initializer.add(), "field 15"),
    "another domain": (lambda m: setattr(m.graph.node[1], "domain", "com.microsoft"), "domain"),
    "an overload": (lambda m: setattr(m.graph.node[1], "overload", "x"), "field 8"),
    "an opset to come": (lambda m: setattr(m.opset_import[0], "version", 99), "opset"),
    "two opsets": (lambda m: m.opset_import.add(domain="", version=7), "opset"),
    "an opset by two names": (lambda m: m.opset_import.add(domain="ai.onnx", version=9), "opset"),
    "an unknown attribute": (
        lambda m: m.graph.node[1].attribute.add(name="axis", type=2, i=1),
        "attribute",
    ),
    "two outputs": (lambda m: m.graph.output.append(m.graph.input[0]), "2 outputs"),
    "another output": (lambda m: setattr(m.graph.output[0], "name", "h"), "last node"),
    "constants twice": (lambda m: m.graph.initializer.append(m.graph.initializer[0]), "twice"),
    "data twice": (lambda m: m.graph.initializer[0].float_data.append(1.0), "twice"),
    "a value made twice": (lambda m: m.graph.node[1].output.__setitem__(0, "p"), "made twice"),
    "a batch of 2": (
        lambda m: setattr(m.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 2),
        "batch",
    ),
    "NaN": (
        lambda m: setattr(m.graph.initializer[1], "raw_data", f32(*[np.nan] * 12).tobytes()),
        "finite",
    ),
    "too little data": (
        lambda m: setattr(m.graph.initializer[1], "raw_data", b"\0" * 8),
        "fit its shape",
    ),
    "double pixels": (
        lambda m: setattr(m.graph.input[0].type.tensor_type, "elem_type", 11),
        "not float32",
    ),
}


@pytest.mark.parametrize("name", CHANGED)
def test_fields_that_are_not_known_are_refused(name: str, tmp_path: Path) -> None:
    change, words = CHANGED[name]
    with pytest.raises(NoRulesError, match=words):
        read(_model(change), tmp_path, kind="onnx", runtime="onnxruntime")


def test_every_mutated_byte_gives_the_network_or_one_refusal(tmp_path: Path) -> None:
    """A file with a changed byte is read as some network, or refused; nothing else comes out."""
    data, rng, refused = to_onnx(random_dense(1, (16, 6, 3))), np.random.default_rng(3), 0
    for _ in range(400):
        broken = bytearray(data)
        for at in rng.integers(0, len(data), int(rng.integers(1, 4))):
            broken[at] = int(rng.integers(256))
        try:
            read(bytes(broken), tmp_path, kind="onnx", runtime="onnxruntime")
        except NoRulesError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 100
