"""Between images and runtimes: pixel order, batches, bytes that were loaded, labels and margins of
any outputs."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import helper

from relrob.domain.arrays import Floats
from relrob.domain.network import Arithmetic, Layout, Network
from relrob.errors import NetworkError, ShapeError, UsageError
from relrob.networks.batches import (
    check_images,
    one_line,
    padded,
    pixel_order,
    probe_images,
    run_in_batches,
)
from relrob.networks.content import checked_bytes, runs_weights
from relrob.networks.details import ONNX_LEVELS
from relrob.networks.evaluator import labels, margins
from relrob.networks.load import load_network, runtimes
from relrob.system.files import sha256_bytes
from tests.make_networks import onnx_bytes, write_onnx
from tests.support import random_dense

SHAPE = (2, 3, 3)
BOX = Network("n.tflite", "0" * 64, "tflite", "xnnpack", 18, 4, SHAPE, Layout.CHW)


def test_pixels_are_reordered_only_where_the_order_differs() -> None:
    image = np.arange(18).reshape(SHAPE)
    order = pixel_order(BOX)
    assert order is not None
    assert np.array_equal(image.reshape(-1)[order], image.transpose(2, 0, 1).reshape(-1))
    assert pixel_order(replace(BOX, layout=Layout.HWC)) is None
    assert pixel_order(replace(BOX, image_shape=(6, 3, 1))) is None


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 9])
@pytest.mark.parametrize("size", [1, 4, 100])
def test_batches_are_cut_reordered_and_put_together(count: int, size: int) -> None:
    images = np.random.default_rng(0).random((count, 18), dtype=np.float32)
    order, seen = pixel_order(BOX), list[int]()

    def run(part: Floats) -> NDArray[Any]:
        assert part.flags.c_contiguous
        seen.append(len(part))
        return (part[:, :4] * 2).reshape(len(part), 2, 2)  # runtimes may give other shapes

    outputs = run_in_batches(images, BOX, size, run, order)
    assert np.array_equal(outputs, images[:, order][:, :4] * 2)
    assert np.array_equal(run_in_batches(images, BOX, size, run, None), images[:, :4] * 2)
    assert outputs.dtype == np.float32
    assert seen == [min(size, count - start) for start in range(0, count, size)] * 2


def test_a_graph_that_drops_images_is_refused() -> None:
    images = np.zeros((5, 18), np.float32)
    with pytest.raises(
        NetworkError, match=r"outputs of shape \(1, 4\) for 2 images; accepted: 4 an image"
    ):
        run_in_batches(images, BOX, 2, lambda part: np.zeros((1, 4)), None)
    with pytest.raises(NetworkError, match=r"outputs of shape \(2, 5\) for 2 images"):
        run_in_batches(images, BOX, 2, lambda part: np.zeros((len(part), 5)), None)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 17), np.float32), r"\(2, 17\) and type float32; accepted: float32 \(n, 18\)"),
        (np.zeros(18, np.float32), r"\(18,\) and type float32"),
        (np.zeros((2, 2, 3, 3), np.float32), r"\(2, 2, 3, 3\)"),
        (np.zeros((2, 18)), "type float64"),
        (np.zeros((2, 18), np.uint8), "type uint8"),
    ],
)
def test_images_of_another_form_are_refused(images: NDArray[Any], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        check_images(images, BOX)
    with pytest.raises(ShapeError, match=words):
        run_in_batches(images, BOX, 2, lambda part: part, None)


def test_padding_and_probes() -> None:
    images = np.ones((2, 18), np.float32)
    assert padded(images, 2) is images
    assert padded(images, 5).tolist() == [[1] * 18] * 2 + [[0] * 18] * 3
    assert padded(images[:0], 1).tolist() == [[0] * 18]
    probes = probe_images(BOX)
    assert probes.dtype == np.float32 and probes.shape == (3, 18)
    assert probes[0].max() <= 1 and 0 < probes[1].max() <= 0.2
    assert not probes[2, :9].any() and probes[2, 9:].all()
    assert np.array_equal(probes, probe_images(BOX))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "ValueError"),
        (" a\n\t b ", "a b"),
        ("x" * 200, "x" * 200),
        ("x" * 201, "x" * 200 + "..."),
    ],
)
def test_messages_of_runtimes_become_one_line(text: str, line: str) -> None:
    assert one_line(ValueError(text)) == line


def test_a_file_runs_only_with_the_bytes_that_were_loaded(tmp_path: Path) -> None:
    path = write_onnx(random_dense(1, (18, 5, 4)), tmp_path / "n.onnx")
    network = load_network(path, image_shape=SHAPE, classes=4)
    data = path.read_bytes()
    assert checked_bytes(network) == checked_bytes(network, data) == data
    for other in (data[:-1], data + b"\0", b""):
        with pytest.raises(
            NetworkError,
            match=r"has changed since it was loaded; .*SHA-256 [0-9a-f]{12}; try: load it",
        ):
            checked_bytes(replace(network, format="tflite"), other)
    box = replace(BOX, path=str(tmp_path / "b.tflite"), sha256=sha256_bytes(b"data"))
    with pytest.raises(NetworkError, match=r"cannot read .*b\.tflite: No such file"):
        checked_bytes(box)
    (tmp_path / "b.tflite").write_bytes(b"data")
    assert checked_bytes(box) == b"data"


@pytest.mark.parametrize(
    ("format_name", "runtime", "folded", "weights", "own"),
    [
        ("onnx", "onnxruntime", False, True, False),
        ("onnx", "onnxruntime", True, True, False),
        ("keras", "onnxruntime", True, True, False),
        ("keras", "onnxruntime", False, True, True),
        ("keras", "keras", False, True, False),
        ("keras", "onnxruntime", False, False, False),
        ("keras1-h5", "onnxruntime", False, True, True),
    ],
)
def test_who_runs_weights_and_who_runs_the_file(
    format_name: str, runtime: str, folded: bool, weights: bool, own: bool
) -> None:
    dense = random_dense(0, (18, 4)) if weights else None
    assert (
        runs_weights(
            Network("n", "", format_name, runtime, 18, 4, SHAPE, dense=dense, folded=folded)
        )
        is own
    )


@pytest.mark.parametrize(
    ("format_name", "dense", "able"),
    [
        ("tflite", True, ("xnnpack", "builtin", "reference", "tflm", "real")),
        ("tflite", False, ("xnnpack", "builtin", "reference", "tflm")),
        ("onnx", False, tuple(ONNX_LEVELS)),
        ("onnx", True, (*ONNX_LEVELS, "real")),
        ("keras1-h5", True, ("onnxruntime", "real")),
        ("keras", True, ("onnxruntime", "keras", "real")),
        ("keras", False, ("keras",)),
        ("savedmodel", False, ("keras",)),
    ],
)
def test_runtimes_of_a_format(format_name: str, dense: bool, able: tuple[str, ...]) -> None:
    assert runtimes(format_name, dense) == able


def test_a_network_over_the_reals_is_its_file_or_nothing(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"image_shape": SHAPE, "classes": 4, "runtime": "real"}
    network = load_network(write_onnx(random_dense(1, (18, 5, 4)), tmp_path / "n.onnx"), **asked)
    assert (network.runtime, network.arithmetic, runs_weights(network)) == (
        "real",
        Arithmetic.REAL,
        True,
    )
    with pytest.raises(
        UsageError, match=r"'real' cannot run .*; accepted: onnxruntime, .*:extended$"
    ):
        load_network(_scaled(tmp_path / "f.onnx"), **asked)
    with pytest.raises(
        UsageError, match=r"'real' cannot run .*b\.onnx \(a network in format onnx\)"
    ):
        load_network(_scaled(tmp_path / "b.onnx", "Sin"), **asked)


def _scaled(path: Path, operator: str = "Mul") -> Path:
    """Pixels times 1/3 (or their sines), then a dense layer."""
    constants: dict[str, NDArray[Any]] = {
        "third": np.array([1 / 3], np.float32),
        "w": np.ones((18, 4), np.float32),
    }
    constants["b"] = np.zeros(4, np.float32)
    given = ["x", "third"] if operator == "Mul" else ["x"]
    nodes = [
        helper.make_node(operator, given, ["s"]),
        helper.make_node("Gemm", ["s", "w", "b"], ["y"]),
    ]
    path.write_bytes(onnx_bytes(nodes, constants, ["n", 18], 4))
    return path


def test_other_runtimes_and_other_numbers_of_classes(tmp_path: Path) -> None:
    path = write_onnx(random_dense(1, (18, 5, 4)), tmp_path / "n.onnx")
    with pytest.raises(
        UsageError,
        match=r"'keras' cannot run .*n\.onnx \(a float MLP in format onnx\); .*: onnxruntime",
    ):
        load_network(path, image_shape=SHAPE, classes=4, runtime="keras")
    for classes, more, fits in (
        (3, False, False),
        (3, True, True),
        (4, False, True),
        (5, True, False),
    ):
        if fits:
            assert (
                load_network(path, image_shape=SHAPE, classes=classes, more_classes=more).classes
                == 4
            )
        else:
            with pytest.raises(
                ShapeError, match=rf"4 outputs, the data set {classes} classes; accepted: equal"
            ):
                load_network(path, image_shape=SHAPE, classes=classes, more_classes=more)


ANY = st.floats(width=32, allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 1.0])


@given(arrays(np.float32, (6, 4), elements=ANY), st.integers(0, 3))
@settings(max_examples=120, derandomize=True)
def test_labels_and_margins_of_any_outputs(outputs: Floats, label: int) -> None:
    """The label is the first maximum; a margin above 0 means that label, and below 0 another one;
    NaN is never right."""
    said, least = labels(outputs), margins(outputs, label)
    for row, index, margin in zip(outputs.tolist(), said.tolist(), least.tolist(), strict=True):
        if any(math.isnan(value) for value in row):
            assert (index, margin) == (-1, -math.inf)
            continue
        assert index == row.index(max(row))
        others = max(value for at, value in enumerate(row) if at != label)
        assert margin == (0.0 if row[label] == others else row[label] - others)
        assert (margin > 0) <= (index == label)
        assert (margin < 0) <= (index != label)
