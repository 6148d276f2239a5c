"""The checker's reader of `.onnx` files: outputs of onnxruntime lie within its facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from flint import arb, ctx

from relrob.certificates.checking.entries import InvalidError
from relrob.certificates.checking.layer import ArbLayer
from tests.certificates.onnx_files import (
    B3,
    BASE,
    MEAN,
    NORMS,
    SPREAD,
    TAIL,
    W1,
    W2,
    W3,
    W4,
    Constants,
    f32,
    file,
    node,
)
from tests.reading_cases import hostile_images, ranges, read

ACCEPTED: dict[str, tuple[list[onnx.NodeProto], Constants, tuple[Any, ...]]] = {
    "Gemm": ([node("Gemm", "x w1 b1", "p"), *TAIL], {}, ("n", 16)),
    "MatMul, Add": ([node("MatMul", "x w1", "m"), node("Add", "m b1", "p"), *TAIL], {}, (1, 16)),
    "the bias first": (
        [node("MatMul", "x w1", "m"), node("Add", "b1 m", "p"), *TAIL],
        {},
        ("n", 16),
    ),
    "alpha, beta, transB": (
        [node("Gemm", "x w1t b1", "p", alpha=0.3, beta=-2.5, transB=1), *TAIL],
        {"w1t": W1.T.copy()},
        ("n", 16),
    ),
    "Sub, Div": (
        [node("Sub", "x mean", "a"), node("Div", "a sd", "b"), node("Gemm", "b w1 b1", "p"), *TAIL],
        {"mean": MEAN, "sd": SPREAD},
        ("n", 16),
    ),
    "a constant less the value": (
        [node("Sub", "c x", "a"), node("Gemm", "a w1 b1", "p"), *TAIL],
        {"c": f32(1)},
        ("n", 16),
    ),
    "a million that comes and goes": (
        [node("Add", "x c", "a"), node("Sub", "a c", "b"), node("Gemm", "b w1 b1", "p"), *TAIL],
        {"c": f32(1e6)},
        ("n", 16),
    ),
    "a million that comes and goes before a half": (
        [
            node("Add", "x c", "a"),
            node("Sub", "a c", "b"),
            node("Add", "b d", "e"),
            node("Gemm", "e w1 b1", "p"),
            *TAIL,
        ],
        {"c": f32(1e6), "d": f32(0.5)},
        ("n", 16),
    ),
    "levels of 0 to 255": (
        [
            node("Mul", "x c", "a"),
            node("Sub", "a d", "b"),
            node("Div", "b d", "e"),
            node("Gemm", "e w1 b1", "p"),
            *TAIL,
        ],
        {"c": f32(255), "d": f32(127.5)},
        ("n", 16),
    ),
    "batch normalisation after the layer": (
        [node("Gemm", "x w1 b1", "q"), node("BatchNormalization", "q g b m v", "p"), *TAIL],
        NORMS,
        ("n", 16),
    ),
    "batch normalisation after the ReLU": (
        [
            node("Gemm", "x w1 b1", "p"),
            TAIL[0],
            node("BatchNormalization", "h g b m v", "k"),
            node("Gemm", "k w2 b2", "y"),
        ],
        NORMS,
        ("n", 16),
    ),
    "scaled outputs": (
        [
            node("Gemm", "x w1 b1", "p"),
            TAIL[0],
            node("Gemm", "h w2 b2", "z"),
            node("Mul", "z c", "y"),
        ],
        {"c": f32(0.1)},
        ("n", 16),
    ),
    "an image that is turned and flattened": (
        [
            node("Transpose", "x", "t", perm=[0, 2, 3, 1]),
            node("Flatten", "t", "f"),
            node("Gemm", "f w1 b1", "p"),
            *TAIL,
        ],
        {},
        ("n", 4, 2, 2),
    ),
    "a reshape": (
        [node("Reshape", "x s", "f"), node("Gemm", "f w1 b1", "p"), *TAIL],
        {"s": np.array([-1, 16])},
        (1, 4, 2, 2),
    ),
    "no ReLU": ([node("Gemm", "x w1 b1", "p"), node("Gemm", "p w2 b2", "y")], {}, ("n", 16)),
    "no ReLU, but much between": (
        [
            node("Sub", "x mean", "a"),
            node("Gemm", "a w1 b1", "q", alpha=-0.3, beta=3.0),
            node("BatchNormalization", "q g b m v", "p"),
            node("MatMul", "p w2", "z"),
            node("Add", "z b2", "s"),
            node("Mul", "s c", "y"),
        ],
        NORMS | {"mean": MEAN, "c": f32(0.7)},
        ("n", 16),
    ),
    "three in a row, then a ReLU": (
        [
            node("Gemm", "x w1 b1", "p"),
            node("Gemm", "p w3 b3", "q"),
            node("Add", "q c", "r"),
            node("Gemm", "r w3 b3", "t"),
            node("Relu", "t", "h"),
            node("Relu", "h", "l"),
            node("Gemm", "l w2 b2", "y"),
        ],
        {"w3": W3, "b3": B3, "c": f32(-0.4)},
        ("n", 16),
    ),
    "large terms that cancel in the second layer": (
        [node("Gemm", "x w1t b1", "p"), node("Gemm", "p w3 b3", "h"), node("Gemm", "h w2 b2", "y")],
        {"w1t": np.tile(W1[:, :1] * f32(1e4), 12), "w3": W4, "b3": B3},
        ("n", 16),
    ),
    "a negation, a clip, casts": (
        [
            node("Neg", "x", "a"),
            node("Cast", "a", "b", to=1),
            node("Gemm", "b w1 b1", "p"),
            node("Clip", "p zero", "h"),
            TAIL[1],
        ],
        {"zero": np.float32(0)},
        ("n", 16),
    ),
    "axes that come and go": (
        [
            node("Unsqueeze", "x s", "a"),
            node("Squeeze", "a t", "b"),
            node("Gemm", "b w1 b1", "p"),
            *TAIL,
        ],
        {"s": np.array([-1, 1]), "t": np.array([1, 3])},
        ("n", 16),
    ),
    "dropout that is told not to train": (
        [node("Dropout", "x r t", "d"), node("Gemm", "d w1 b1", "p"), *TAIL],
        {"r": np.float32(0.5), "t": np.array(False)},
        ("n", 16),
    ),
    "a copied constant": (
        [
            node("Identity", "w1", "w"),
            node("Constant", "", "c", value_floats=[0.5]),
            node("Gemm", "x w b1", "a"),
            node("Mul", "a c", "p"),
            *TAIL,
        ],
        {},
        ("n", 16),
    ),
    "dropout that does not train": (
        [node("Dropout", "x", "d"), node("Gemm", "d w1 b1", "p"), *TAIL],
        {},
        ("n", 16),
    ),
}


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
