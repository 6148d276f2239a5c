"""The ONNX emulator against onnxruntime itself: random and hostile graphs, ties, overflow, files of
onnxruntime's quantiser."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from relrob.compress.build import quantised_bytes
from relrob.compress.calibration import Calibration
from relrob.domain.arrays import Floats
from relrob.domain.network import Layout, Network
from relrob.networks.load import load_network
from relrob.networks.onnx import kernel_graph as onnx_graph
from relrob.networks.onnx.emulate import OnnxEmulator, onnx_emulator
from relrob.networks.onnx.steps import FloatDense, IntegerDense
from relrob.networks.open import open_network
from tests.make_quantised_onnx import FORMS, Graph, fitting, network
from tests.support import random_dense

SHAPE = (4, 4, 3)
D = 48
FLAT: list[int | str] = ["n", D]
RNG = np.random.default_rng(8)


def pictures(seed: int, count: int) -> Floats:
    """Noise, 8-bit levels, multiples of 2^-9 (ties), black, white, and black-and-white images."""
    rng = np.random.default_rng(seed)
    images = rng.random((count, D), dtype=np.float32)
    images[1::4] = np.rint(images[1::4] * 255) / np.float32(255)
    images[2::4] = np.rint(images[2::4] * 512) / np.float32(512)
    images[3::8] = np.rint(images[3::8])
    images[0], images[1] = 0, 1
    return images


def opened(data: bytes, folder: Path, layout: str = "auto") -> Network:
    path = folder / "q.onnx"
    path.write_bytes(data)
    return load_network(path, image_shape=SHAPE, classes=10, layout=layout)


def emulated(data: bytes, folder: Path, layout: str = "auto") -> OnnxEmulator:
    found = onnx_emulator(opened(data, folder, layout), data)
    assert found is not None
    return found


def compare(emulator: OnnxEmulator, images: Floats, data: bytes) -> Floats:
    """Every bit of every output, or every bound; returns what onnxruntime gave."""
    batch = 1 if emulator.per_image else None
    truth = open_network(emulator.network, data=data, batch=batch).outputs(images)
    if emulator.exact:
        assert emulator.outputs(images).tobytes() == (truth + np.float32(0)).tobytes()
        return truth
    low, high = emulator.sure(images)
    assert ((low <= truth) & (truth <= high)).all()
    ours = emulator.outputs(images)
    assert ((low <= ours) & (ours <= high)).all()
    return truth


def sweep(
    form: str, seeds: range, count: int, folder: Path, caplog: pytest.LogCaptureFixture
) -> int:
    """Inputs compared; a graph that is refused says that its numbers overflow."""
    compared = 0
    for seed in seeds:
        rng = np.random.default_rng(seed)
        hidden = tuple(int(n) for n in rng.integers(1, 40, rng.integers(0, 3)))
        data = network(seed, form, FLAT if seed % 3 else ["n", 4, 4, 3], (D, *hidden, 10))
        caplog.clear()
        emulator = onnx_emulator(opened(data, folder), data)
        if emulator is None:
            assert (
                "overflow" in caplog.records[-1].getMessage()
                or "not finite" in caplog.records[-1].getMessage()
            )
            continue
        assert emulator.exact == (
            not any(isinstance(layer, FloatDense) for layer in emulator.layers)
        )
        compare(emulator, pictures(seed, count), data)
        compared += count
    return compared


@pytest.mark.parametrize("form", FORMS)
def test_random_graphs_bit_for_bit(
    form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="relrob.networks.onnx.emulate")
    number = FORMS.index(form) * 1000
    count = 100 if form == "dynamic" else 300
    assert sweep(form, range(number, number + 30), count, tmp_path, caplog) >= 25 * count


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_many_random_graphs_bit_for_bit(
    form: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="relrob.networks.onnx.emulate")
    number = 10**6 + FORMS.index(form) * 1000
    assert sweep(form, range(number, number + 200), 500, tmp_path, caplog) >= 90000


@pytest.mark.parametrize(("form", "exact"), [(form, form != "float bias") for form in FORMS])
def test_what_is_exact(form: str, exact: bool, tmp_path: Path) -> None:
    data = network(5, form, FLAT, (D, 16, 10), hostile=0)
    emulator = emulated(data, tmp_path)
    truth = compare(emulator, pictures(1, 200), data)
    assert emulator.exact == exact
    low, high = emulator.sure(pictures(1, 200))
    if exact:
        assert np.array_equal(low, high)
    else:
        assert (
            0 < (high - low).max() < 1e-2 * np.abs(truth).max()
            or (high - low).mean() < 0.05 * np.abs(truth).max()
        )


def one_layer(
    scale_in: float, zero: int, weights: NDArray[Any], bias: NDArray[Any], scale_out: float
) -> bytes:
    """Quantise with `scale_in`, one QGemm of weight scale 1, dequantise with scale 1 instead of
    `scale_out`."""
    graph = Graph()
    first = [graph.hold(np.float32(scale_in)), graph.hold(np.uint8(zero))]
    out = [graph.hold(np.float32(scale_out)), graph.hold(np.uint8(128))]
    graph.then("QuantizeLinear", *first)
    one, none = graph.hold(np.float32(1)), graph.hold(np.int8(0))
    graph.then(
        "QGemm",
        *first,
        graph.hold(weights),
        one,
        none,
        graph.hold(bias),
        *out,
        domain="com.microsoft",
    )
    graph.then("DequantizeLinear", graph.hold(np.float32(1)), out[1])
    return graph.finish(FLAT, 10)


def test_half_way_sums_and_pixels_round_to_even(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = RNG.integers(-3, 4, (D, 10)).astype(np.int8)
    bias = np.arange(-5, 5).astype(np.int32)
    data = one_layer(
        2.0**-4, 3, weights, bias, 2.0**-3
    )  # multiplier 2^-1: every odd sum is half-way
    emulator = emulated(data, tmp_path)
    images = RNG.integers(0, 33, (4000, D)).astype(np.float32) / np.float32(32)
    codes = np.rint(images.astype(np.float64) * 16)  # every odd pixel is half-way
    wanted = np.clip(np.rint((codes @ weights + bias) / 2), -128, 127)
    truth = compare(emulator, images, data)
    assert np.array_equal(truth, wanted)
    assert (images * 16 % 1 == 0.5).mean() > 0.4
    assert ((codes @ weights + bias) % 2 == 1).mean() > 0.4

    def half_up(values: Floats, out: Floats | None = None) -> Floats:
        return np.asarray(np.floor(values + np.float32(0.5), out=out))

    monkeypatch.setattr(np, "rint", half_up)
    assert (emulator.outputs(images) != truth).mean() > 0.2, (
        "the comparison would see another rounding"
    )


@pytest.mark.parametrize("zero", [0, 255])
@pytest.mark.parametrize("scale", [1e-38, 1e-6, 1.0, 1e30])
@pytest.mark.parametrize("top", [0, 2**24 + 1, 2**31 - 1])
def test_saturation_overflow_and_all_zero_rows(
    zero: int, scale: float, top: int, tmp_path: Path
) -> None:
    weights = fitting(RNG.choice(np.array([-128, 127], np.int8), (D, 10)))
    weights[:, 3] = 0
    weights[:, 4], weights[:, 5] = weights.max(), weights.min()
    bias = np.array([top, -top, 0, 7, top, -top, 1, -1, top, -top], np.int32)
    data = one_layer(1 / 255, zero, weights, bias, scale)
    try_on = onnx_emulator(opened(data, tmp_path), data)
    if try_on is None:
        assert scale == 1e-38, "the multiplier is infinite"
        return
    compare(try_on, pictures(3, 400), data)
    (layer,) = try_on.layers
    assert isinstance(layer, IntegerDense)
    assert layer.wraps == (top == 2**31 - 1)


def test_sums_beyond_one_float32_product(tmp_path: Path) -> None:
    """3,072 inputs of full range: several products, added in float64."""
    for zero in (0, 128):
        graph = Graph()
        first = [graph.hold(np.float32(1 / 255)), graph.hold(np.uint8(zero))]
        out = [graph.hold(np.float32(9)), graph.hold(np.uint8(100))]
        graph.then("QuantizeLinear", *first)
        weights = graph.hold(fitting(RNG.choice(np.array([-127, 127, 3], np.int8), (3072, 10))))
        graph.then(
            "QLinearMatMul",
            *first,
            weights,
            graph.hold(np.float32(0.1)),
            graph.hold(np.int8(0)),
            *out,
        )
        graph.then("DequantizeLinear", *out)
        path = tmp_path / "q.onnx"
        path.write_bytes(graph.finish(["n", 3072], 10))
        emulator = onnx_emulator(
            load_network(path, image_shape=(32, 32, 3), classes=10), path.read_bytes()
        )
        assert emulator is not None
        (layer,) = emulator.layers
        assert (
            isinstance(layer, IntegerDense) and len(layer.dot.parts) > 1 and layer.dot.limit > 2**24
        )
        images = RNG.random((1500, 3072), dtype=np.float32)
        images[0], images[1] = 0, 1
        assert len(np.unique(compare(emulator, images, path.read_bytes()))) > 50


def test_the_description_is_the_file(tmp_path: Path) -> None:
    weights = fitting(RNG.integers(-128, 128, (D, 10)).astype(np.int8))
    bias = RNG.integers(-500, 500, 10).astype(np.int32)
    emulator = emulated(one_layer(0.25, 9, weights, bias, 3.0), tmp_path)
    (layer,) = emulator.layers
    assert (
        isinstance(layer, IntegerDense)
        and layer.target is not None
        and layer.multiplier is not None
    )
    assert np.array_equal(layer.dot.weights, weights) and np.array_equal(layer.dot.bias, bias)
    assert (
        float(layer.source.scale),
        layer.source.zero_point,
        layer.source.low,
        layer.source.high,
    ) == (
        0.25,
        9,
        -9,
        246,
    )
    assert (float(layer.target.scale), layer.target.zero_point, layer.relu) == (3.0, 128, False)
    assert np.array_equal(layer.multiplier, np.full(10, np.float32(0.25) / np.float32(3)))
    assert not layer.dot.weights.flags.writeable
    assert (emulator.runtime, emulator.exact, emulator.per_image) == ("onnxruntime", True, False)


@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("softmax", [False, True])
def test_files_of_the_quantiser(layout: str, softmax: bool, tmp_path: Path) -> None:
    dense = random_dense(4, (D, 64, 32, 10), softmax)
    images = pictures(9, 5000)
    source = Network(
        "n.h5", "", "keras1-h5", "onnxruntime", D, 10, SHAPE, Layout(layout), dense=dense
    )
    data = quantised_bytes(
        source, "qdq", Calibration("noise", "train", tuple(range(100)), 2, images[:100]), SHAPE
    )
    emulator = emulated(data, tmp_path, layout)
    assert [type(layer) for layer in emulator.layers] == [IntegerDense] * 3
    assert [layer.relu for layer in emulator.layers if isinstance(layer, IntegerDense)] == [
        True,
        True,
        False,
    ]
    compare(emulator, images, data)


def test_an_integer_softmax_and_views(tmp_path: Path) -> None:
    for seed, (kind, zero, scale) in enumerate(
        [(np.uint8, 0, 1 / 256), (np.int8, -128, 1 / 256), (np.uint8, 3, 0.02)]
    ):
        rng = np.random.default_rng(seed)
        graph = Graph()
        graph.then("Sub", graph.hold(np.array([0.1, 0.2, 0.3], np.float32)))
        graph.then("Div", graph.hold(np.array([[[0.5, 0.25, 0.7]]], np.float32)))
        first = [graph.hold(np.float32(0.02)), graph.hold(kind(10))]
        after = [graph.hold(np.float32(0.1)), graph.hold(kind(4))]
        end = [graph.hold(np.float32(scale)), graph.hold(kind(zero))]
        graph.then("Transpose", perm=[0, 3, 1, 2])
        graph.then("QuantizeLinear", *first)
        graph.then("Reshape", graph.hold(np.array([-1, D])))
        weights = graph.hold(fitting(rng.integers(-128, 128, (D, 10)).astype(np.int8)))
        graph.then(
            "QLinearMatMul",
            *first,
            weights,
            graph.hold(np.float32(0.01)),
            graph.hold(np.int8(0)),
            *after,
        )
        graph.then("QLinearSoftmax", *after, *end, domain="com.microsoft", axis=-1, opset=13)
        graph.then("DequantizeLinear", *end)
        data = graph.finish(["n", 4, 4, 3], 10)
        truth = compare(emulated(data, tmp_path), pictures(seed, 1000), data)
        assert len(np.unique(truth)) > 20
        assert truth.max() == np.float32(scale) * (
            np.iinfo(kind).max - zero if seed != 2 else 50
        ), "one class alone"


def full_range() -> tuple[NDArray[Any], NDArray[Any]]:
    """Weights of which two products exceed 16 bits by the least that is possible, above and
    below."""
    above, below = np.zeros((D, 10), np.int8), np.zeros((D, 10), np.int8)
    above[3:5, 2] = 64, 65
    below[3:5, 2] = -64, -65
    return above, below


def test_weights_whose_products_fit_16_bits_are_emulated_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_graph, "products_saturate", lambda: True)
    weights = RNG.choice(np.array([-64, 64], np.int8), (D, 10))
    for zero in (0, 7, 255):
        data = one_layer(1 / 255, zero, weights, np.zeros(10, np.int32), 40.0)
        compare(emulated(data, tmp_path), pictures(4, 400), data)


def refused(data: bytes, folder: Path, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.INFO, logger="relrob.networks.onnx.emulate")
    assert onnx_emulator(opened(data, folder), data) is None
    return caplog.records[-1].getMessage()


def test_what_is_not_emulated_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = Graph()
    first = [graph.hold(np.float32(0.01)), graph.hold(np.uint8(0))]
    weights = graph.hold(fitting(RNG.integers(-128, 128, (D, 10)).astype(np.int8)))
    graph.then("QuantizeLinear", *first)
    graph.then("MatMulInteger", weights, first[1])
    graph.then("Cast", to=1)
    graph.then("Softmax")
    assert "Softmax" in refused(graph.finish(FLAT, 10), tmp_path, caplog)
    plain = Graph()
    plain.then("MatMul", plain.hold(RNG.standard_normal((D, 10)).astype(np.float32)))
    assert "not a quantised" in refused(plain.finish(FLAT, 10), tmp_path, caplog)
    data = network(5, "qgemm", FLAT, (D, 10), hostile=0)
    changed = onnx_emulator(opened(data, tmp_path), data[:-1] + b"\x02")
    assert changed is None and "has changed" in caplog.records[-1].getMessage()
    with monkeypatch.context() as patch:
        patch.setattr(onnx_graph, "products_saturate", lambda: True)
        one, two = (one_layer(1 / 255, 0, end, np.zeros(10, np.int32), 1.0) for end in full_range())
        assert "saturate on this processor" in refused(one, tmp_path, caplog)
        assert "saturate on this processor" in refused(two, tmp_path, caplog)
    with monkeypatch.context() as patch:
        patch.setattr(np, "rint", lambda values, out=None: np.floor(values, out=out))
        assert "disagrees on a probe" in refused(data, tmp_path, caplog)
    assert onnx_emulator(opened(data, tmp_path), data) is not None


def test_a_fixed_batch_and_another_order(tmp_path: Path) -> None:
    data = network(12, "qgemm", [4, D], (D, 20, 10), hostile=0)
    compare(emulated(data, tmp_path, "chw"), pictures(2, 99), data)
    assert emulated(data, tmp_path).outputs(np.zeros((0, D), np.float32)).shape == (0, 10)
