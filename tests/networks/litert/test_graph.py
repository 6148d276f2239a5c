"""The strict reader of `.tflite`: each kind that it models is what LiteRT computes, bit for bit;
everything else is a black box."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from relrob.domain.arrays import Bools, Floats
from relrob.errors import NetworkError
from relrob.networks.litert.emulate import emulator
from relrob.networks.litert.enclosure import black_box, tflite_enclosure
from relrob.networks.litert.file import LiteRtFile
from relrob.networks.litert.flat import NotModelledError, read_flat
from relrob.networks.litert.interpreter import LiteRt
from relrob.networks.litert.limits import check_limits
from tests.litert_edits import BOX, flatten_edits, flatten_file, tensor, version
from tests.make_kernels import Full, Kind, Step, write
from tests.make_litert import FILES, GRID, LAST, Change, edited, layers, unsigned
from tests.networks.litert.test_dense import RUNTIMES, a_network, same_bits
from tests.networks.test_enclosure import enclosed_outputs


def images(count: int = 300) -> Floats:
    """Noise, halves of 8-bit levels, black, white, one pixel."""
    rng = np.random.default_rng(8)
    found = rng.random((count, 20), dtype=np.float32)
    found[::3] = (rng.integers(0, 510, found[::3].shape) / 510).astype(np.float32)
    found[0], found[1], found[2], found[2, 3] = 0, 1, 0, 1
    return found


def holds(data: bytes, runtime: str) -> None:
    """The emulator gives LiteRT's bits, and the enclosure holds LiteRT's outputs."""
    network = a_network(data, 20, 5, runtime)
    theirs = LiteRt(network, data, 1, 64).outputs(images())
    found, enclosure = emulator(network, data), tflite_enclosure(network, data)
    assert found is not None
    assert enclosure is not None
    assert same_bits(found.outputs(images()), theirs)
    values, error = enclosed_outputs(enclosure, images())
    if not enclosure.probabilities:
        assert (np.abs(theirs.astype(np.float64) - values) <= error).all()
        return
    own = np.eye(5, dtype=np.bool_)
    wide = error[:, :, None] + error[:, None, :] + enclosure.gap
    ahead: Bools = np.asarray(values[:, :, None] - values[:, None, :] > wide)
    larger: Bools = np.asarray(theirs[:, :, None] > theirs[:, None, :])
    first: Bools = np.all(
        np.maximum(ahead, own), axis=2
    )  # (n, 5): further ahead of all others than the gap
    assert np.all(np.maximum(larger, own), axis=2)[first].all()
    assert first.any(axis=1).mean() > 0.3, "a gap that nothing passes proves nothing"


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", FILES)
def test_each_kind_is_modelled(name: str, runtime: str) -> None:
    assert black_box(LiteRtFile(FILES[name]), runtime) == ""
    holds(FILES[name], runtime)


def test_uint8_and_int8_are_the_same_integers() -> None:
    """All 256 values through QUANTIZE one way and back again."""
    for zero in (-128, -3, 127):
        one, other = Kind(0.5, zero), unsigned(Kind(0.5, zero))
        for start, steps in ((other, [Step("quantize", one)]), (one, [Step("quantize", other)])):
            levels = np.arange(256, dtype=np.float32)[:, None] + np.zeros(3, np.float32)
            pixels = (levels - np.float32(zero + 128)) * np.float32(0.5)
            for runtime in RUNTIMES:
                network = a_network(data := write(3, start, list(steps)), 3, 3, runtime)
                assert same_bits(LiteRt(network, data, 1, 64).outputs(pixels), pixels)


@pytest.mark.parametrize(
    ("reason", "name", "change"), BOX, ids=[f"{n}-{r}" for n, (r, _, _) in enumerate(BOX)]
)
def test_what_is_not_known_is_a_black_box(reason: str, name: str, change: Change) -> None:
    data = edited(FILES[name], change)
    for runtime in RUNTIMES:
        assert reason in black_box(LiteRtFile(data), runtime)
        assert tflite_enclosure(a_network(data, 20, 5, runtime), data) is None


def test_the_batch_of_a_flatten_is_exactly_that() -> None:
    """SHAPE, STRIDED_SLICE, PACK, RESHAPE: modelled; each of its numbers changed: not, though
    LiteRT may run it."""
    data = flatten_file()
    for runtime in RUNTIMES:
        assert black_box(LiteRtFile(data), runtime) == ""
        holds(data, runtime)
    for number, change in enumerate(flatten_edits()):
        assert black_box(LiteRtFile(edited(data, change)), "builtin"), number


def test_what_the_kernels_ignore_is_modelled() -> None:
    """The scale of an int32 bias, versions, an absent bias, an input of rank 3: LiteRT's bits are
    the emulator's."""

    def bias_scale(_model: Any, graph: Any) -> None:
        graph.tensors[2].quantization.scale = graph.tensors[2].quantization.scale * np.float32(10)

    def no_bias(_model: Any, graph: Any) -> None:
        for one in graph.operators:
            one.inputs = list(one.inputs)[:2]

    cube = tensor(0, shape=[1, 4, 5], shapeSignature=[-1, 4, 5])
    for name in ("int8", "dynamic"):
        for change in (bias_scale, no_bias, cube, *(version(number) for number in (1, 4, 8, 12))):
            if name == "dynamic" and change is bias_scale:
                continue
            data = edited(FILES[name], change)
            for runtime in RUNTIMES:
                assert black_box(LiteRtFile(data), runtime) == ""
                holds(data, runtime)


def test_scales_along_the_inputs_are_taken_for_those_of_the_outputs() -> None:
    """Of square weights, by LiteRT's own kernels; XNNPACK leaves such a layer to them."""
    rng = np.random.default_rng(7)
    square, (_, last) = rng.integers(-127, 128, (20, 20)).astype(np.int8), layers(int8=False)
    assert isinstance(last, Full)
    end = Full(rng.integers(-127, 128, (5, 20)).astype(np.int8), last.bias, last.scales)
    scales = np.exp(rng.normal(-3, 0.5, 20)).astype(np.float32)
    plain = write(20, Kind(), [Full(square, np.ones(20, np.float32), scales, relu=True), end])

    def turned(_model: Any, graph: Any) -> None:
        graph.tensors[1].quantization.quantizedDimension = 1

    data = edited(plain, turned)
    for runtime in RUNTIMES:
        assert black_box(LiteRtFile(data), runtime) == ""
        holds(data, runtime)
        assert LiteRtFile(data).kernels(runtime)[0] != "xnnpack"
    with pytest.raises(NotModelledError, match="along dimension 1"):
        check_limits(LiteRtFile(data).graph.layers[0], "xnnpack")


def a_sum(total: int, ratio: float) -> bytes:
    """int8 layers whose one sum is `total`, requantised by `ratio`."""
    bias = np.array([total, -total], np.int32)
    return write(
        2,
        Kind(1.0, 0),
        [Full(np.zeros((2, 2), np.int8), bias, np.full(1, ratio, np.float32), out=Kind(1.0, 0))],
    )


@pytest.mark.parametrize(
    ("runtime", "total", "ratio", "modelled"),
    [
        ("builtin", 2**30 - 1, 1.0, True),
        ("builtin", 2**30, 1.0, False),
        ("builtin", 2**29 + 1, 2.0, False),
        ("builtin", 2**31 - 1, 0.5, True),
        ("reference", 2**31 - 300, 1.0, True),
        ("reference", 1_450_769_178, 1.5, False),
        ("reference", 1_400_000_000, 1.5, True),
        ("xnnpack", 1_450_769_178, 1.5, True),
        ("xnnpack", 1_450_769_178, 255.0, True),
    ],
)
def test_where_integer_kernels_end(runtime: str, total: int, ratio: float, modelled: bool) -> None:
    """One sum of each sign: LiteRT saturates where it is modelled, and is far off where it is
    not."""
    data = a_sum(total, ratio)
    network = a_network(data, 2, 2, runtime)
    theirs = LiteRt(network, data, 1, 1).outputs(np.zeros((1, 2), np.float32))[0]
    assert (black_box(LiteRtFile(data), runtime) == "") == modelled
    assert (theirs.tolist() == [127, -128]) == modelled


def test_a_sum_beyond_32_bits_is_a_black_box() -> None:
    weights, bias = np.full((2, 20), 127, np.int8), np.full(2, 2**31 - 20_000, np.int32)
    out = Kind(float(np.float32(2.0**20)), 0)
    data = write(20, GRID, [Full(weights, bias, np.full(1, 0.02, np.float32), out=out)])
    for runtime in RUNTIMES:
        assert "leave 32 bits" in black_box(LiteRtFile(data), runtime)
        network = a_network(data, 20, 2, runtime)
        wrapped = LiteRt(network, data, 1, 1).outputs(np.ones((1, 20), np.float32))
        clean = LiteRt(network, data, 1, 1).outputs(np.zeros((1, 20), np.float32))
        assert (wrapped <= 0).all(), "it wraps"
        assert (clean >= 0).all()


def test_damaged_files_have_reasons() -> None:
    """Random bytes changed: a reason or a model, never another exception."""
    rng = np.random.default_rng(1)
    found = set()
    for name in ("int8-uint8-ends", "dynamic-per-tensor"):
        whole = np.frombuffer(FILES[name], np.uint8)
        for _ in range(150):
            data = whole.copy()
            data[rng.integers(0, len(data), rng.integers(1, 4))] = rng.integers(0, 256)
            found.add(black_box(LiteRtFile(data.tobytes()), "reference"))
    assert len(found) > 5
    with pytest.raises(NotModelledError, match="damaged"):
        read_flat(b"TFL3")


def test_a_name_that_is_no_text_is_refused_in_one_line() -> None:
    data = FILES["int8"].replace(b"t6", b"t\xe1")
    assert data != FILES["int8"]
    with pytest.raises(NetworkError, match=r"refuses n\.tflite"):
        LiteRt(a_network(data, 20, 5, "builtin"), data, 1, 1).outputs(images())


def test_layers_are_as_in_the_file() -> None:
    graph = LiteRtFile(FILES["int8-uint8-ends"]).graph
    assert [type(layer).__name__ for layer in graph.layers] == [
        "Recode",
        "Int8Full",
        "Int8Full",
        "Softmax",
        "Recode",
    ]
    assert graph.widths == (20, 20, 16, 5, 5, 5)
    assert (graph.given, graph.result) != (None, None)
    assert graph.given is not None
    assert (graph.given.least, graph.given.zero, graph.given.bottom) == (0, 0, 0.0)
    assert graph.given.top == pytest.approx(1.0)
    first = layers(int8=True)[0]
    assert isinstance(first, Full)
    kept = graph.layers[1]
    np.testing.assert_array_equal(kept.weights.T, first.weights)  # type: ignore[union-attr]
    assert kept.out.scale == np.float32(0.1)  # type: ignore[union-attr]
    assert LAST.zero == graph.layers[2].out.zero  # type: ignore[union-attr]


def test_a_file_of_another_size_is_not_enclosed() -> None:
    network = a_network(FILES["int8"], 21, 5, "builtin")
    assert tflite_enclosure(network, FILES["int8"]) is None
    assert emulator(network, FILES["int8"]) is None
    with pytest.raises(NetworkError):
        LiteRt(network, FILES["int8"], 1, 1).outputs(np.zeros((1, 21), np.float32))
