"""The checker's own reader of `.onnx` files: outputs of onnxruntime lie where its facts say, and
hostile edits have no rules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from flint import arb, ctx
from onnx import TensorProto, helper, numpy_helper

from relrob.certificates.checking.deployed import NoRulesError
from relrob.certificates.checking.entries import InvalidError
from relrob.certificates.checking.layer import ArbLayer
from relrob.networks.onnx.export import to_onnx
from tests.reading_cases import hostile_images, ranges, read
from tests.support import random_dense

Constants = dict[str, Any]
RNG = np.random.default_rng(7)
W1, B1 = RNG.normal(size=(16, 12)).astype(np.float32), RNG.normal(size=12).astype(np.float32)
W2, B2 = RNG.normal(size=(12, 3)).astype(np.float32), RNG.normal(size=3).astype(np.float32)


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def file(
    nodes: list[onnx.NodeProto],
    constants: Constants,
    dims: tuple[Any, ...] = ("n", 16),
    opset: int = 17,
) -> bytes:
    """A graph from "x" to "y"."""
    values = [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, d)
        for name, d in (("x", dims), ("y", ("n", 3)))
    ]
    graph = helper.make_graph(nodes, "test", [ends[0]], [ends[1]], values)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


BASE: Constants = {"w1": W1, "b1": B1, "w2": W2, "b2": B2}
TAIL = [node("Relu", "p", "h"), node("Gemm", "h w2 b2", "y")]


def f32(*values: float) -> Any:
    return np.array(values, np.float32)


W3, B3 = RNG.normal(size=(12, 12)).astype(np.float32), RNG.normal(size=12).astype(np.float32)
W4 = np.concatenate([W3[:6], -W3[:6]])  # of equal values the sum is 0
MEAN, SPREAD = (
    RNG.random((16,), np.float32),
    (RNG.random((16,), np.float32) + 0.1).astype(np.float32),
)
NORMS: Constants = {name: (RNG.random(12, np.float32) + 0.2).astype(np.float32) for name in "gbmv"}

ACCEPTED: dict[str, tuple[list[onnx.NodeProto], Constants, tuple[Any, ...]]] = {
    "Gemm": ([node("Gemm", "x w1 b1", "p"), *TAIL], {}, ("n", 16)),
    "MatMul, Add": ([node("MatMul", "x w1", "m"), node("Add", "m b1", "p"), *TAIL], {}, (1, 16)),
    "the bias first": ([node("MatMul", "x w1", "m"), node("Add", "b1 m", "p"), *TAIL], {}, ("n", 16)),
    "alpha, beta, transB": (
        [node("Gemm", "x w1t b1", "p", alpha=0.3, beta=-2.5, transB=1), *TAIL], {"w1t": W1.T.copy()}, ("n", 16),
    ),
    "Sub, Div": (
        [node("Sub", "x mean", "a"), node("Div", "a sd", "b"), node("Gemm", "b w1 b1", "p"), *TAIL],
        {"mean": MEAN, "sd": SPREAD}, ("n", 16),
    ),
    "a constant less the value": ([node("Sub", "c x", "a"), node("Gemm", "a w1 b1", "p"), *TAIL], {"c": f32(1)}, ("n", 16)),
    "a million that comes and goes": (
        [node("Add", "x c", "a"), node("Sub", "a c", "b"), node("Gemm", "b w1 b1", "p"), *TAIL], {"c": f32(1e6)}, ("n", 16),
    ),
    "a million that comes and goes before a half": (
        [node("Add", "x c", "a"), node("Sub", "a c", "b"), node("Add", "b d", "e"), node("Gemm", "e w1 b1", "p"), *TAIL],
        {"c": f32(1e6), "d": f32(0.5)}, ("n", 16),
    ),
    "levels of 0 to 255": (
        [node("Mul", "x c", "a"), node("Sub", "a d", "b"), node("Div", "b d", "e"), node("Gemm", "e w1 b1", "p"), *TAIL],
        {"c": f32(255), "d": f32(127.5)}, ("n", 16),
    ),
    "batch normalisation after the layer": (
        [node("Gemm", "x w1 b1", "q"), node("BatchNormalization", "q g b m v", "p"), *TAIL], NORMS, ("n", 16),
    ),
    "batch normalisation after the ReLU": (
        [node("Gemm", "x w1 b1", "p"), TAIL[0], node("BatchNormalization", "h g b m v", "k"), node("Gemm", "k w2 b2", "y")],
        NORMS, ("n", 16),
    ),
    "scaled outputs": (
        [node("Gemm", "x w1 b1", "p"), TAIL[0], node("Gemm", "h w2 b2", "z"), node("Mul", "z c", "y")], {"c": f32(0.1)}, ("n", 16),
    ),
    "an image that is turned and flattened": (
        [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Flatten", "t", "f"), node("Gemm", "f w1 b1", "p"), *TAIL],
        {}, ("n", 4, 2, 2),
    ),
    "a reshape": ([node("Reshape", "x s", "f"), node("Gemm", "f w1 b1", "p"), *TAIL], {"s": np.array([-1, 16])}, (1, 4, 2, 2)),
    "no ReLU": ([node("Gemm", "x w1 b1", "p"), node("Gemm", "p w2 b2", "y")], {}, ("n", 16)),
    "no ReLU, but much between": (
        [node("Sub", "x mean", "a"), node("Gemm", "a w1 b1", "q", alpha=-0.3, beta=3.0),
         node("BatchNormalization", "q g b m v", "p"), node("MatMul", "p w2", "z"), node("Add", "z b2", "s"),
         node("Mul", "s c", "y")],
        NORMS | {"mean": MEAN, "c": f32(0.7)}, ("n", 16),
    ),
    "three in a row, then a ReLU": (
        [node("Gemm", "x w1 b1", "p"), node("Gemm", "p w3 b3", "q"), node("Add", "q c", "r"), node("Gemm", "r w3 b3", "t"),
         node("Relu", "t", "h"), node("Relu", "h", "l"), node("Gemm", "l w2 b2", "y")],
        {"w3": W3, "b3": B3, "c": f32(-0.4)}, ("n", 16),
    ),
    "large terms that cancel in the second layer": (
        [node("Gemm", "x w1t b1", "p"), node("Gemm", "p w3 b3", "h"), node("Gemm", "h w2 b2", "y")],
        {"w1t": np.tile(W1[:, :1] * f32(1e4), 12), "w3": W4, "b3": B3}, ("n", 16),
    ),
    "a negation, a clip, casts": (
        [node("Neg", "x", "a"), node("Cast", "a", "b", to=1), node("Gemm", "b w1 b1", "p"), node("Clip", "p zero", "h"), TAIL[1]],
        {"zero": np.float32(0)}, ("n", 16),
    ),
    "axes that come and go": (
        [node("Unsqueeze", "x s", "a"), node("Squeeze", "a t", "b"), node("Gemm", "b w1 b1", "p"), *TAIL],
        {"s": np.array([-1, 1]), "t": np.array([1, 3])}, ("n", 16),
    ),
    "dropout that is told not to train": (
        [node("Dropout", "x r t", "d"), node("Gemm", "d w1 b1", "p"), *TAIL],
        {"r": np.float32(0.5), "t": np.array(False)}, ("n", 16),
    ),
    "a copied constant": (
        [node("Identity", "w1", "w"), node("Constant", "", "c", value_floats=[0.5]), node("Gemm", "x w b1", "a"),
         node("Mul", "a c", "p"), *TAIL], {}, ("n", 16),
    ),
    "dropout that does not train": ([node("Dropout", "x", "d"), node("Gemm", "d w1 b1", "p"), *TAIL], {}, ("n", 16)),
}  # fmt: skip


def run(data: bytes, images: Any) -> Any:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    shape = [1, *session.get_inputs()[0].shape[1:]]
    outputs = [np.asarray(session.run(None, {"x": image.reshape(shape)})[0]) for image in images]
    return np.concatenate([each.reshape(1, -1) for each in outputs])


@pytest.mark.parametrize("name", ACCEPTED)
def test_outputs_of_onnxruntime_lie_within_the_claimed_error(name: str, tmp_path: Path) -> None:
    nodes, more, dims = ACCEPTED[name]
    data = file(nodes, BASE | more, dims)
    turned = len(dims) == 4
    shape, layout = ((2, 2, 4), "chw") if turned else ((4, 4, 1), "hwc")
    deployed = read(data, tmp_path, kind="onnx", runtime="onnxruntime", shape=shape, layout=layout)
    images = hostile_images(16)
    fed = images.reshape(-1, 2, 2, 4).transpose(0, 3, 1, 2).reshape(-1, 16) if turned else images
    outputs = run(data, fed)
    low, high = ranges(deployed, images)
    assert (low <= outputs).all()
    assert (outputs <= high).all()
    assert deployed.end == "logits"
    if "million" not in name and "cancel" not in name:
        assert (high - low).max() < 0.05 * np.ptp(outputs)


def test_a_large_constant_that_comes_and_goes_costs_what_it_rounds(tmp_path: Path) -> None:
    """At 10^8 every pixel is lost, and the facts say so: the error is as large as the outputs."""
    nodes, _, dims = ACCEPTED["a million that comes and goes"]
    deployed = read(
        file(nodes, BASE | {"c": f32(1e8)}, dims), tmp_path, kind="onnx", runtime="onnxruntime"
    )
    images = hostile_images(16)
    low, high = ranges(deployed, images)
    outputs = run(file(nodes, BASE | {"c": f32(1e8)}, dims), images)
    assert (low <= outputs).all()
    assert (outputs <= high).all()
    assert len(np.unique(outputs, axis=0)) == 1
    assert (high - low).min() > np.ptp(outputs)


def test_dense_layers_in_a_row_are_one_with_the_roundings_of_all(tmp_path: Path) -> None:
    """Sizes are those of the file's own terms, not of their product; no layer on the way may
    overflow."""

    def facts(grown: float) -> Any:
        more = {"w3": f32(*[grown] * 192).reshape(16, 12), "w4": W2 / f32(grown)}
        data = file([node("Gemm", "x w3 b1", "p"), node("Gemm", "p w4 b2", "y")], BASE | more)
        return read(data, tmp_path, kind="onnx", runtime="onnxruntime").layers[0]

    first = facts(1.0)
    assert first.terms >= (16 + 2) + (12 + 2)
    assert (first.sizes >= np.abs(np.ones((16, 12))) @ np.abs(W2)).all()
    for grown, fits in ((1e30, True), (1e34, True), (3e37, False)):
        layer = ArbLayer(facts(grown))
        with ctx.workprec(128):
            given = [arb(1)] * 16
            if fits:
                assert len(layer.error(given, [arb(0)] * 16)) == 3
            else:
                with pytest.raises(InvalidError, match="overflow"):
                    layer.error(given, [arb(0)] * 16)


def test_softmax_is_seen(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", "x w1 b1", "p"),
        TAIL[0],
        node("Gemm", "h w2 b2", "z"),
        node("Softmax", "z", "y"),
    ]
    assert (
        read(file(nodes, BASE), tmp_path, kind="onnx", runtime="onnxruntime").end == "float softmax"
    )
    real = read(file(nodes, BASE), tmp_path, kind="onnx", runtime="real", arithmetic="real")
    assert (real.end, [layer.terms for layer in real.layers]) == ("logits", [0, 0])


FIRST = node("Gemm", "x w1 b1", "p")
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
