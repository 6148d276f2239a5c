"""Constants before a layer, which a converter may fold into its weights, against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from relrob.networks.folds import forms
from relrob.networks.load import load_network
from relrob.networks.weighted import Weighted, weights_of

Array = NDArray[Any]
RNG = np.random.default_rng(6)
SHAPE = (4, 4, 3)
node = helper.make_node


def floats(*shape: int) -> Array:
    return RNG.uniform(0.5, 1.5, shape).astype(np.float32)


def written(path: Path, nodes: list[Any], held: dict[str, Array], rows: bool) -> Weighted:
    """The first layer of a graph from the image "x" to "y"."""
    dims = [1, 48] if rows else [1, 3, 4, 4]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, dims)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6])],
        [numpy_helper.from_array(array, name) for name, array in held.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path.write_bytes(
        helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString()
    )
    layout = "hwc" if rows else "auto"
    network = load_network(path, image_shape=SHAPE, classes=6, layout=layout)
    return weights_of(network)[0]


def constant(*shape: int) -> dict[str, Array]:
    return {"c": floats(*shape)}


NORMALISED = {name: floats(3) for name in ("gamma", "beta", "mean", "variance")}
BATCHES = node("BatchNormalization", ["x", *NORMALISED], ["s"], epsilon=0.01)
# Nodes from "x" to "s", their constants, and the number of steps that are read.
BEFORE_IMAGES: dict[str, tuple[list[Any], dict[str, Array], int]] = {
    "a number": ([node("Mul", ["c", "x"], ["s"])], constant(1), 1),
    "channels": ([node("Sub", ["x", "c"], ["s"])], constant(1, 3, 1, 1), 1),
    "from constants": ([node("Sub", ["c", "x"], ["s"])], constant(3, 1, 1), 1),
    "divided": ([node("Div", ["x", "c"], ["s"])], constant(3, 1, 1), 1),
    "a batch normalisation": ([BATCHES], NORMALISED, 1),
    "mean and deviation": (
        [node("Sub", ["x", "c"], ["a"]), node("Div", ["a", "d"], ["s"])],
        {"c": floats(1, 3, 1, 1), "d": floats(3, 1, 1)},
        2,
    ),
    "columns of an image": ([node("Mul", ["x", "c"], ["s"])], constant(4), 0),
    "no constants": ([node("Div", ["c", "x"], ["s"])], constant(1), 0),
    "a power mean behind it": (
        [
            node("Mul", ["x", "c"], ["a"]),
            node("LpPool", ["a"], ["s"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        ],
        constant(1),
        0,
    ),
}
BEFORE_ROWS: dict[str, tuple[list[Any], dict[str, Array], int]] = {
    "a number, then flat": (
        [node("Add", ["x", "c"], ["a"]), node("Flatten", ["a"], ["s"])],
        constant(1, 1),
        1,
    ),
    "columns": ([node("Mul", ["x", "c"], ["s"])], constant(48), 1),
    "channels, then flat": (
        [
            *(node("Reshape", ["x", "n"], ["i"]), node("Relu", ["i"], ["r"])),
            node("Mul", ["r", "d"], ["m"]),
            *(
                node("BatchNormalization", ["m", *NORMALISED], ["b1"]),
                node("Flatten", ["b1"], ["s"]),
            ),
        ],
        {"n": np.array([1, 3, 4, 4]), "d": floats(3, 1, 1), **NORMALISED},
        2,
    ),
    "columns, then another order": (
        [node("Mul", ["x", "c"], ["a"]), node("Flatten", ["a"], ["s"])],
        constant(48),
        0,
    ),
    "columns, then a number behind another order": (
        [
            *(node("Mul", ["x", "c"], ["a"]), node("Flatten", ["a"], ["f"])),
            node("Sub", ["f", "d"], ["s"]),
        ],
        {"c": floats(48), "d": floats(1)},
        1,
    ),
}


def folded(layer: Weighted, steps: int) -> Weighted:
    """The form with everything folded in."""
    assert len(layer.before) == steps
    return list(forms(layer))[-1]


def run(path: Path, image: Array) -> Array:
    options = ort.SessionOptions()
    # Optimised, a product with integers rounds its other factor too.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": image})[0], np.float64).ravel()


@pytest.mark.parametrize("name", [name for name, (_, _, n) in BEFORE_IMAGES.items() if n])
def test_a_convolution_with_its_steps_is_what_onnxruntime_computes(
    tmp_path: Path, name: str
) -> None:
    before, held, steps = BEFORE_IMAGES[name]
    nodes = [*before, node("Conv", ["s", "w", "b"], ["r"]), node("Flatten", ["r"], ["y"])]
    weights = {"w": floats(6, 3, 4, 4), "b": floats(6)}
    layer = folded(written(tmp_path / "n.onnx", nodes, held | weights, False), steps)
    image = floats(1, 3, 4, 4)
    found = layer.values @ image[0].transpose(1, 2, 0).ravel() + layer.bias
    np.testing.assert_allclose(found, run(tmp_path / "n.onnx", image), rtol=1e-4)


@pytest.mark.parametrize("name", ["channels", "a batch normalisation", "a number"])
@pytest.mark.parametrize("twice", [False, True])
def test_so_is_a_convolution_in_groups(tmp_path: Path, name: str, twice: bool) -> None:
    """Three groups of outputs, each of which reads one channel, or two of `twice` the image."""
    before, held, steps = BEFORE_IMAGES[name]
    join = node("Concat", ["x", "x"], ["xx"], axis=1)
    if twice:
        held = {n: array if array.size == 1 else np.resize(array, 6) for n, array in held.items()}
        held = {n: a.reshape(6, 1, 1) if n == "c" and a.size > 1 else a for n, a in held.items()}
        before = [join, *(renamed(each) for each in before)]
    channels = 1 + twice
    nodes = [*before, node("Conv", ["s", "w", "b"], ["r"], group=3), node("Flatten", ["r"], ["y"])]
    weights = {"w": floats(6, channels, 4, 4), "b": floats(6)}
    layer = folded(written(tmp_path / "n.onnx", nodes, held | weights, False), steps)
    image = floats(1, 3, 4, 4)
    given = np.concatenate([image[0]] * channels).reshape(3, channels, 16)
    # Outputs 2 g and 2 g + 1 are of group g; the channels of a place stand side by side.
    read = np.repeat(given.transpose(0, 2, 1).reshape(3, -1), 2, axis=0)
    found = (layer.values * read).sum(axis=1) + layer.bias
    np.testing.assert_allclose(found, run(tmp_path / "n.onnx", image), rtol=1e-4)


def renamed(each: Any) -> Any:
    """A node that reads the joined image."""
    made = onnx.NodeProto.FromString(each.SerializeToString())
    names = ["xx" if name == "x" else name for name in made.input]
    del made.input[:]
    made.input.extend(names)
    return made


@pytest.mark.parametrize("name", [name for name, (_, _, n) in BEFORE_ROWS.items() if n])
def test_so_is_a_dense_layer(tmp_path: Path, name: str) -> None:
    before, held, steps = BEFORE_ROWS[name]
    nodes = [*before, node("Gemm", ["s", "w", "b"], ["y"])]
    weights = {"w": floats(48, 6), "b": floats(6)}
    path = tmp_path / "n.onnx"
    layer = folded(written(path, nodes, held | weights, True), steps)
    if "order" in name:
        # The runtime does what is not read as a step.
        held = held | {"c": np.ones(48, np.float32)}
        written(path, nodes, held | weights, True)
    image = floats(1, 48)
    found = layer.values @ image[0] + layer.bias
    np.testing.assert_allclose(found, run(path, image), rtol=1e-4)


@pytest.mark.parametrize("name", [name for name, (_, _, n) in BEFORE_IMAGES.items() if not n])
def test_what_is_no_step_of_its_channels_is_not_read(tmp_path: Path, name: str) -> None:
    before, held, _ = BEFORE_IMAGES[name]
    nodes = [*before, node("Conv", ["s", "w"], ["r"]), node("Flatten", ["r"], ["y"])]
    layer = written(tmp_path / "n.onnx", nodes, held | {"w": floats(6, 3, 4, 4)}, False)
    assert layer.before == ()


def test_nor_is_one_before_another_order_of_the_columns(tmp_path: Path) -> None:
    before, held, _ = BEFORE_ROWS["columns, then another order"]
    nodes = [*before, node("Gemm", ["s", "w"], ["y"])]
    layer = written(tmp_path / "n.onnx", nodes, held | {"w": floats(48, 6)}, True)
    assert layer.before == ()


def test_a_normalisation_behind_a_rectifier_stands_before_the_next_layer(tmp_path: Path) -> None:
    nodes = [
        *(node("Gemm", ["x", "w", "b"], ["h"]), node("Relu", ["h"], ["a"])),
        node("BatchNormalization", ["a", "gamma", "beta", "mean", "variance"], ["s"]),
        node("Gemm", ["s", "v"], ["y"]),
    ]
    held = {"w": floats(48, 3), "b": floats(3), "v": floats(3, 6), **NORMALISED}
    path = tmp_path / "n.onnx"
    written(path, nodes, held, True)
    network = load_network(path, image_shape=SHAPE, classes=6, layout="hwc")
    one, two = weights_of(network)
    assert one.before == ()
    assert not one.folded
    image = floats(1, 48)
    hidden = np.maximum(one.values @ image[0] + one.bias, 0)
    two = folded(two, 1)
    np.testing.assert_allclose(two.values @ hidden + two.bias, run(path, image), rtol=1e-4)


def whole(path: Path, rows: bool) -> tuple[Weighted, ...]:
    layout = "hwc" if rows else "auto"
    return weights_of(load_network(path, image_shape=SHAPE, classes=6, layout=layout))


CODES: dict[str, Array] = {
    **{"s1": np.array(0.02, np.float32), "z1": np.array(100, np.uint8)},
    **{"s2": np.array(0.05, np.float32), "z2": np.array(90, np.uint8)},
}
CONSTANT: dict[str, Array] = {
    "k": np.array([10, 60, 200, 120, 90, 30], np.uint8),
    **{"ks": np.array(0.01, np.float32), "kz": np.array(80, np.uint8)},
}
INTEGERS: dict[str, Array] = {
    "w": RNG.integers(-90, 90, (48, 6)).astype(np.int8),
    "ws": np.array(0.01, np.float32),
}


@pytest.mark.parametrize("operator", ["Add", "Sub", "Mul", "Div", "BatchNormalization"])
def test_integers_keep_a_step_behind_them(tmp_path: Path, operator: str) -> None:
    """Dequantised weights, then a step: what onnxruntime computes is the layer and its `after`."""
    held = {**INTEGERS, "b": floats(6)}
    names = ["b"]
    if operator == "BatchNormalization":
        names = ["gamma", "beta", "mean", "variance"]
        held |= {name: floats(6) for name in names}
    nodes = [
        node("DequantizeLinear", ["w", "ws"], ["v"]),
        node("MatMul", ["x", "v"], ["h"]),
        node(operator, ["h", *names], ["y"]),
    ]
    path = tmp_path / "n.onnx"
    layer = written(path, nodes, held, True)
    assert layer.stored is not None
    assert not layer.folded
    image = floats(1, 48)
    found = layer.values @ image[0] + (0 if layer.bias is None else layer.bias)
    for step in layer.after:
        found = found * step.factor + step.shift
    assert len(layer.after) == len(layer.behind) == (operator not in ("Add", "Sub"))
    np.testing.assert_allclose(found, run(path, image), rtol=1e-4)


def test_floats_take_a_step_in_and_keep_what_they_were_without(tmp_path: Path) -> None:
    nodes = [
        node("Gemm", ["x", "w", "b"], ["h"], alpha=0.5, beta=-2.0),
        node("BatchNormalization", ["h", "gamma", "beta", "mean", "variance"], ["n"]),
        node("Add", ["n", "a"], ["y"]),
    ]
    held = {"w": floats(48, 6), "b": floats(6), "a": floats(6)}
    held |= {name: floats(6) for name in ("gamma", "beta", "mean", "variance")}
    path = tmp_path / "n.onnx"
    layer = written(path, nodes, held, True)
    image = floats(1, 48)
    wanted = run(path, image)
    assert layer.bias is not None
    assert layer.after == ()
    np.testing.assert_allclose(layer.values @ image[0] + layer.bias, wanted, rtol=1e-4)
    assert layer.bare is not None
    assert layer.bare.bias is not None
    np.testing.assert_allclose(layer.bare.bias, -2 * held["b"])
    found = layer.bare.values @ image[0] + layer.bare.bias
    for step in layer.behind:
        found = found * step.factor + step.shift
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("operator", ["QLinearAdd", "QLinearMul"])
def test_a_constant_in_codes_is_added_or_multiplied(
    tmp_path: Path, operator: str, first: bool
) -> None:
    """The bias of the product stays; what rounding may have moved is told."""
    ends, constant = ["h", "s1", "z1"], ["k", "ks", "kz"]
    names = [*ends, *constant] if first else [*constant, *ends]
    nodes = [
        node("QuantizeLinear", ["x", "s1", "z1"], ["q"]),
        node("QGemm", ["q", *ends[1:], "w", "ws", "wz", "b", *ends[1:]], ["h"]),
        node(operator, [*names, "s2", "z2"], ["r"]),
        node("DequantizeLinear", ["r", "s2", "z2"], ["y"]),
    ]
    for each in nodes[1:3]:
        each.domain = "com.microsoft"
    bias = RNG.integers(-2000, 2000, 6).astype(np.int32)
    held = {**CODES, **CONSTANT, **INTEGERS, "wz": np.array(0, np.int8), "b": bias}
    layer = written(tmp_path / "n.onnx", nodes, held, True)
    numbers = (CONSTANT["k"].astype(np.float64) - 80) * 0.01
    own = bias * 0.02 * 0.01
    assert layer.bias is not None
    assert layer.bias_steps is not None
    if operator == "QLinearAdd":
        np.testing.assert_allclose(layer.bias, own + numbers, rtol=1e-5)
        np.testing.assert_allclose(layer.bias_steps, 0.02 * 0.01 + 0.01, rtol=1e-5)
        assert layer.after == ()
    else:
        np.testing.assert_allclose(layer.bias, own, rtol=1e-5)
        np.testing.assert_allclose(layer.after[0].factor, numbers, rtol=1e-5)
        np.testing.assert_allclose(layer.after_off[0].factor, 0.005, rtol=1e-5)
    assert layer.result is not None
    assert layer.result.name == "r"


@pytest.mark.parametrize(
    ("operator", "known"), [("Relu", True), ("LpPool", False), ("Transpose", False)]
)
def test_a_step_that_is_lost_on_the_way_is_not_taken_for_none(
    tmp_path: Path, operator: str, known: bool
) -> None:
    """A ReLU ends the steps of every file; the others may stand elsewhere in another one."""
    settings: dict[str, dict[str, Any]] = {
        "LpPool": {"kernel_shape": [1, 1]},
        "Transpose": {"perm": [0, 1, 3, 2]},
    }
    nodes = [
        node("Mul", ["x", "c"], ["a"]),
        node(operator, ["a"], ["s"], **settings.get(operator, {})),
        node("Conv", ["s", "w"], ["r"]),
        node("Flatten", ["r"], ["y"]),
    ]
    held = {"c": floats(1, 3, 1, 1), "w": floats(6, 3, 4, 4)}
    layer = written(tmp_path / "n.onnx", nodes, held, False)
    assert layer.before == ()
    assert layer.known == known


def test_codes_that_begin_at_zero_may_stand_for_a_rectifier(tmp_path: Path) -> None:
    """A step behind them stands before the next layer, and where they stand among the steps is
    told."""
    nodes = [
        node("QuantizeLinear", ["x", "s1", "z"], ["q"]),
        node("DequantizeLinear", ["q", "s1", "z"], ["d"]),
        node("Gemm", ["d", "w", "b"], ["h"]),
        node("QuantizeLinear", ["h", "s1", "z"], ["hq"]),
        node("DequantizeLinear", ["hq", "s1", "z"], ["hd"]),
        node("Mul", ["hd", "f"], ["m"]),
        node("QuantizeLinear", ["m", "s1", "z"], ["mq"]),
        node("DequantizeLinear", ["mq", "s1", "z"], ["md"]),
        node("Add", ["md", "g"], ["a"]),
        node("Gemm", ["a", "v"], ["y"]),
    ]
    held = {"w": floats(48, 3), "b": floats(3), "v": floats(3, 6), "f": floats(3), "g": floats(1)}
    held["s1"] = CODES["s1"]
    path = tmp_path / "n.onnx"
    written(path, nodes, {**held, "z": np.array(0, np.uint8)}, True)
    one, two = whole(path, True)
    assert one.relu
    assert one.behind == ()
    assert [step.factor.shape for step in two.before] == [(1, 3), (1, 3)]
    assert two.cuts == (1,)
    assert two.known
    written(path, nodes, {**held, "z": np.array(9, np.uint8)}, True)
    one, two = whole(path, True)
    assert len(one.behind) == 2
    assert two.before == ()
