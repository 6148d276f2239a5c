"""Values that cannot be illegal: networks, images, ladders, queries, verdicts, records; arrays that
nobody can change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.domain.arrays import read_only
from relrob.domain.events import Event, silent
from relrob.domain.image import check_image
from relrob.domain.network import Arithmetic, Dense, Layer, Layout, Network
from relrob.domain.record import RECORD_COLUMNS, Record, Set
from relrob.domain.region import Ladder
from relrob.domain.verdict import Reason, Status, Verdict, Witness
from relrob.errors import (
    DatasetError,
    NetworkError,
    RegionError,
    RelrobError,
    ShapeError,
    UsageError,
)
from relrob.queries.query import Budget
from relrob.regions.exact import parse_fraction
from tests.support import random_dense

NETWORK = Network(
    "a.onnx", "a" * 64, "onnx", "onnxruntime", 12, 3, (2, 3, 2), dense=random_dense(0, (12, 3))
)
IMAGE = np.arange(12, dtype=np.uint8).reshape(2, 3, 2)


def layer(n_in: int, n_out: int, relu: bool = True) -> Layer:
    return Layer(np.ones((n_in, n_out), np.float32), np.zeros(n_out, np.float32), relu)


@pytest.mark.parametrize(
    "make",
    [
        lambda: np.zeros((3, 4), np.float32),
        lambda: np.zeros((3, 4), np.float32)[:, ::2],
        lambda: np.zeros((3, 4), np.float32).T,
        lambda: np.broadcast_to(np.float32(1), (3, 4)),
        lambda: np.frombuffer(bytearray(16), np.float32),
    ],
    ids=["plain", "strided", "transposed", "broadcast", "bytearray"],
)
def test_frozen_arrays_are_copies_that_nobody_can_write_to(
    make: Callable[[], NDArray[Any]],
) -> None:
    source = make()
    result = read_only(source)
    assert np.array_equal(result, source)
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, source)
    with pytest.raises(ValueError, match="read-only"):
        result[...] = 1


def test_a_read_only_view_of_a_writable_array_is_copied() -> None:
    source = np.zeros(4, np.float32)
    view = source.view()
    view.flags.writeable = False
    result = read_only(view)
    source[0] = 7
    assert result[0] == 0


def test_what_is_frozen_already_is_not_copied() -> None:
    once = read_only(np.zeros((3, 4)))
    assert read_only(once) is once
    assert np.shares_memory(read_only(once[1:]), once)
    held = np.frombuffer(b"\0" * 16, np.float32)
    assert np.shares_memory(read_only(held), held)


def test_a_layer_keeps_its_own_weights() -> None:
    weights, bias = np.ones((2, 3), np.float32), np.zeros(3, np.float32)
    made = Layer(weights, bias, relu=False)
    weights[0, 0], bias[0] = 5, 5
    assert made.weights[0, 0] == 1
    assert made.bias[0] == 0
    with pytest.raises(FrozenInstanceError):
        made.relu = True  # type: ignore[misc]


@pytest.mark.parametrize(
    ("weights", "bias", "message"),
    [
        (np.ones((2, 3)), np.zeros(2), r"weights \(2, 3\) and bias \(2,\)"),
        (np.ones(3), np.zeros(3), r"weights \(3,\)"),
        (np.ones((2, 3, 1)), np.zeros(3), r"\(2, 3, 1\)"),
        (np.full((2, 3), np.nan), np.zeros(3), "NaN"),
        (np.ones((2, 3)), np.array([0, np.inf, 0]), "infinite"),
        (np.full((2, 3), 1e39), np.zeros(3), "infinite"),
    ],
)
def test_illegal_layers(weights: NDArray[Any], bias: NDArray[Any], message: str) -> None:
    with np.errstate(over="ignore"), pytest.raises(NetworkError, match=message):
        Layer(weights, bias, relu=True)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "without layers"),
        ((layer(4, 3), layer(2, 2, relu=False)), "3 outputs feeds one of 2 inputs"),
        ((layer(4, 3), layer(3, 2)), "ends in a ReLU"),
    ],
)
def test_illegal_dense_networks(layers: tuple[Layer, ...], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        Dense(layers)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"inputs": 0, "image_shape": (0, 1, 1)}, NetworkError, "0 inputs"),
        ({"classes": 1}, NetworkError, "1 outputs"),
        ({"image_shape": (2, 3, 1)}, ShapeError, "images of"),
        ({"image_shape": (12,)}, ShapeError, "height, width, channels"),
        ({"classes": 4}, NetworkError, "weights do not fit"),
        ({"dense": random_dense(0, (6, 3))}, NetworkError, "weights do not fit"),
    ],
)
def test_illegal_networks(change: dict[str, Any], kind: type[RelrobError], message: str) -> None:
    with pytest.raises(kind, match=message):
        replace(NETWORK, **change)


def test_a_network_describes_itself() -> None:
    assert NETWORK.dense is not None
    assert (NETWORK.dense.inputs, NETWORK.dense.classes) == (12, 3)
    assert (NETWORK.layout, NETWORK.arithmetic, NETWORK.folded) == (
        Layout.HWC,
        Arithmetic.FLOAT32,
        False,
    )


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros(4), "float64"),
        (np.zeros(4, np.int16), "int16"),
        (np.array([0, np.nan], np.float32), "NaN"),
        (np.array([0, np.inf], np.float32), "infinite"),
        (np.array([0, 1 + 2.0**-23], np.float32), r"\[0, 1\]"),
        (np.array([-(2.0**-149), 1], np.float32), r"\[0, 1\]"),
    ],
)
def test_what_is_no_image(image: NDArray[Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        check_image(image)


@pytest.mark.parametrize(
    "image", [np.array([0, 255], np.uint8), np.array([-0.0, 2.0**-149, 1], np.float32)]
)
def test_what_is_an_image(image: NDArray[Any]) -> None:
    assert check_image(image).tobytes() == image.tobytes()
    assert not check_image(image).flags.writeable


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("-inf")])
def test_a_budget_is_above_zero(seconds: float) -> None:
    with pytest.raises(UsageError, match="seconds above 0"):
        Budget(seconds)


@pytest.mark.parametrize(
    ("radius", "step", "message"),
    [
        ("1e400", "1", "out of all proportion"),
        ("1e-400", "1", "out of all proportion"),
        ("1", "1e-400", "out of all proportion"),
        ("-1e400", "1", "radius of more than"),
        ("1", "1e400", "step of more than"),
        ("0", "1", "radius 0"),
        ("1", "1.0000001", "step 1"),
    ],
)
def test_ladders_out_of_proportion(radius: str, step: str, message: str) -> None:
    with pytest.raises(RegionError, match=message):
        Ladder(parse_fraction(radius, "radius"), parse_fraction(step, "step"))


@pytest.mark.parametrize(
    "text", ["1e999999999", "1e-999999999", "", "nan", "inf", "1/0", "0x10", "1,5", "--1", "1e5/3"]
)
def test_numbers_that_are_none(text: str) -> None:
    with pytest.raises(RegionError, match="a number such as"):
        parse_fraction(text, "radius")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", Fraction(1, 10)),
        (" 1/64 ", Fraction(1, 64)),
        ("2e1", Fraction(20)),
        ("1E-2", Fraction(1, 100)),
    ],
)
def test_numbers_are_exact(text: str, value: Fraction) -> None:
    assert parse_fraction(text, "step") == value


def verdict(status: Status, witness: bool, reason: bool) -> Verdict:
    found = Witness(np.zeros(12, np.float32), (0,), Fraction(1), 2, -1.0) if witness else None
    return Verdict(
        status,
        Arithmetic.FLOAT32,
        "numpy",
        "test",
        witness=found,
        reason=Reason.TIME if reason else None,
    )


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("witness", [True, False])
@pytest.mark.parametrize("reason", [True, False])
def test_a_verdict_has_what_belongs_to_it_and_nothing_else(
    status: Status, witness: bool, reason: bool
) -> None:
    if (witness, reason) == (status is Status.NOT_ROBUST, status is Status.UNKNOWN):
        assert verdict(status, witness, reason).status is status
    else:
        with pytest.raises(ValueError, match="belongs to"):
            verdict(status, witness, reason)


def test_a_witness_keeps_its_image() -> None:
    image = np.zeros(12, np.float32)
    witness = Witness(image, (0, 3), Fraction(5, 2), 2, -1.0)
    image[0] = 1
    assert witness.image[0] == 0
    assert witness.image.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        witness.image[0] = 1


def test_verdicts_are_no_booleans_and_reasons_are_sentences() -> None:
    assert [str(status) for status in Status] == ["ROBUST", "NOT_ROBUST", "UNKNOWN"]
    assert all(" " in reason.value and not reason.value.endswith(".") for reason in Reason)
    assert [str(each) for each in Set] == [
        "R_Q^FP",
        "R^FP",
        "R_Q",
        "R^0",
        "R^mixed",
        "unknown",
        "L_ic",
    ]


def test_a_record_is_plain_and_frozen() -> None:
    record = Record(3, 7, 7, 1, Set.RFP)
    assert tuple(field.name for field in fields(record)) == RECORD_COLUMNS
    assert record == Record(3, 7, 7, 1, Set.RFP) != replace(record, index=4)
    with pytest.raises(FrozenInstanceError):
        record.label = 1  # type: ignore[misc]


def test_errors_are_one_line_and_survive_a_pipe() -> None:
    import pickle

    error = UsageError("radius\n -1.", "a number above 0.", "--radius 20")
    assert str(error) == "radius -1; accepted: a number above 0; try: --radius 20"
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.exit_code) == (UsageError, str(error), 2)


def test_silence() -> None:
    silent(Event("note", "nobody hears this"))
    assert Event("images", done=1, total=2) == Event("images", "", 1, 2)
