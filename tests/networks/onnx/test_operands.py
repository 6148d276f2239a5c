"""Views of an ONNX graph against ONNX's reference evaluator, and operands that are refused with a
reason."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from relrob.networks.onnx.operands import (
    NotEmulatedError,
    codes_of,
    get,
    plain,
    reshaped,
    scale_of,
    viewed,
    weights_of,
)

DIMS = (2, 3, 1, 4)


def node(kind: str, inputs: int = 1, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(
        kind, ["x", *(f"c{n}" for n in range(1, inputs + 1))][: inputs + 1], ["y"], **attributes
    )


def by_onnx(
    kind: str, at: dict[str, Any], constant: NDArray[Any] | None, values: NDArray[Any]
) -> NDArray[Any]:
    """One operator as ONNX's own reference computes it."""
    held = [] if constant is None else [onnx.numpy_helper.from_array(constant, "c1")]
    graph = helper.make_graph(
        [node(kind, len(held), **at)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, values.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        held,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    found: Any = ReferenceEvaluator(model).run(None, {"x": values})
    return np.asarray(found[0])


VIEWS: list[tuple[str, dict[str, Any], list[int] | None]] = [
    ("Flatten", {}, None),
    ("Flatten", {"axis": 1}, None),
    ("Flatten", {"axis": -4}, None),
    ("Reshape", {}, [-1, 24]),
    ("Reshape", {}, [0, 6, 4]),
    ("Reshape", {}, [0, 0, -1]),
    ("Reshape", {}, [0, 4, -1, 2]),
    ("Reshape", {}, [0, 0, 0, 4]),
    ("Squeeze", {}, [3]),
    ("Squeeze", {}, [-2]),
    ("Unsqueeze", {}, [1]),
    ("Unsqueeze", {}, [5, 2]),
    ("Unsqueeze", {}, [-1]),
    ("Unsqueeze", {}, [1, -2]),
    ("Transpose", {"perm": [0, 2, 1, 3, 4]}, None),
    ("Transpose", {"perm": [0, 4, 3, 1, 2]}, None),
]


@pytest.mark.parametrize(("kind", "at", "constant"), VIEWS)
def test_views_are_those_of_onnx(kind: str, at: dict[str, Any], constant: list[int] | None) -> None:
    held = None if constant is None else np.array(constant, np.int64)
    values = np.arange(5 * 24, dtype=np.float32).reshape(5, *DIMS)
    expected = by_onnx(kind, at, held, values)
    constants = {} if held is None else {"c1": held}
    dims, moved = viewed(constants, node(kind, len(constants), **at), at, DIMS)
    assert dims == expected.shape[1:]
    flat = values.reshape(5, -1)
    assert np.array_equal(flat if moved is None else flat[:, moved], expected.reshape(5, -1))
    assert (moved is None) == (kind != "Transpose")


@pytest.mark.parametrize(
    ("kind", "at", "constant", "words"),
    [
        ("Flatten", {"axis": 0}, None, "mixes the images"),
        ("Flatten", {"axis": 2}, None, "mixes the images"),
        ("Reshape", {}, [120], "drops the batch"),
        ("Reshape", {}, [-1, 12], "mixes the images"),
        ("Reshape", {}, [-1, 48], "mixes the images"),
        ("Reshape", {}, [-1, -4, -6], "mixes the images"),
        ("Reshape", {}, [0, 5, -1], "changes the number of values"),
        ("Reshape", {}, [0, 23], "changes the number of values"),
        ("Squeeze", {}, [0], "moves the batch"),
        ("Squeeze", {}, [-5], "moves the batch"),
        ("Squeeze", {}, [1], "changes the number of values"),
        ("Unsqueeze", {}, [0], "moves the batch"),
        ("Unsqueeze", {}, [-6], "moves the batch"),
        ("Transpose", {"perm": [1, 0, 2, 3, 4]}, None, "moves the batch"),
        ("Transpose", {}, None, "moves the batch"),
    ],
)
def test_views_that_touch_the_batch_are_refused(
    kind: str, at: dict[str, Any], constant: list[int] | None, words: str
) -> None:
    constants = {} if constant is None else {"c1": np.array(constant, np.int64)}
    with pytest.raises(NotEmulatedError, match=words):
        viewed(constants, node(kind, len(constants), **at), at, DIMS)


def test_axes_of_older_graphs_are_attributes() -> None:
    assert viewed({}, node("Squeeze", 0), {"axes": [3]}, DIMS)[0] == (2, 3, 4)
    assert viewed({}, node("Unsqueeze", 0), {"axes": [1, 3]}, (2, 3))[0] == (1, 2, 1, 3)
    assert reshaped([1, 6, -1], DIMS, prod(DIMS)) == (6, 4)


U8, I8, STEP = np.uint8(3), np.int8(-5), np.float32(0.25)


@pytest.mark.parametrize(
    ("step", "zero", "expected"),
    [
        (STEP, None, (0.25, 0, 0, 255)),
        (STEP, U8, (0.25, 3, 0, 255)),
        (np.array([0.25], np.float32), np.array([-5], np.int8), (0.25, -5, -128, 127)),
    ],
)
def test_codes_are_read(step: Any, zero: Any, expected: tuple[float, int, int, int]) -> None:
    constants = {"c1": np.asarray(step)} | ({} if zero is None else {"c2": np.asarray(zero)})
    found = codes_of(constants, node("QuantizeLinear", len(constants)), 1, 2)
    assert (float(found.scale), found.zero_point, found.least, found.most) == expected


@pytest.mark.parametrize(
    ("step", "zero", "words"),
    [
        (np.float32(0), U8, "not positive and finite"),
        (np.float32(-1), U8, "not positive and finite"),
        (np.float32(np.nan), U8, "not positive and finite"),
        (np.float32(np.inf), U8, "not positive and finite"),
        (np.float64(0.5), U8, "no float32 row"),
        (np.ones((1, 1), np.float32), U8, "no float32 row"),
        (np.ones(2, np.float32), U8, "a scale a channel"),
        (STEP, np.int32(0), "not 8 bits with one zero point"),
        (STEP, np.zeros(2, np.uint8), "not 8 bits with one zero point"),
    ],
)
def test_codes_that_are_refused(step: Any, zero: Any, words: str) -> None:
    constants = {"c1": np.asarray(step), "c2": np.asarray(zero)}
    with pytest.raises(NotEmulatedError, match=words):
        codes_of(constants, node("QuantizeLinear", 2), 1, 2)
    with pytest.raises(NotEmulatedError, match="no float32 row"):
        scale_of({}, node("QuantizeLinear", 0), 1)


def weights(
    held: Any, zero: Any = None, dims: tuple[int, ...] = (3,), transposed: bool = False
) -> NDArray[np.int64]:
    constants = {"c1": np.asarray(held)} | ({} if zero is None else {"c2": np.asarray(zero)})
    return weights_of(constants, node("MatMulInteger", len(constants)), dims, 1, 2, transposed)


def test_weights_lose_their_zero_points() -> None:
    held = np.array([[0, 255], [1, 2], [128, 127]], np.uint8)
    assert np.array_equal(weights(held), held.astype(int))
    assert np.array_equal(weights(held, U8), held.astype(int) - 3)
    assert np.array_equal(weights(held, np.array([255, 0], np.uint8)), held.astype(int) - [255, 0])
    assert np.array_equal(
        weights(held.T, np.array([255, 0], np.uint8), transposed=True), held.astype(int) - [255, 0]
    )
    refusals: list[tuple[Callable[[], object], str]] = [
        (lambda: weights(held.astype(np.int32)), "not 8 bits"),
        (lambda: weights(held[0]), "not 8 bits"),
        (lambda: weights(held, np.zeros(3, np.uint8)), "neither one nor one a column"),
        (lambda: weights(held, dims=(2,)), r"weights \(3, 2\) for values \(2,\)"),
        (lambda: weights(held, dims=(1, 3)), r"for values \(1, 3\)"),
        (lambda: weights(held, transposed=True), r"weights \(2, 3\) for values \(3,\)"),
    ]
    for call, words in refusals:
        with pytest.raises(NotEmulatedError, match=words):
            call()


def test_inputs_that_are_left_out_and_attributes_of_newer_sets() -> None:
    named = helper.make_node("Gemm", ["x", "", "c2"], ["y"])
    constants = {"c2": np.ones(1)}
    assert get(constants, named, 1) is None
    assert get(constants, named, 2) is constants["c2"]
    assert get(constants, named, 3) is None
    plain({"axis": 1, "block_size": 0, "output_dtype": 0})
    with pytest.raises(NotEmulatedError, match="the attribute precision, block_size"):
        plain({"block_size": 2, "precision": 1})
