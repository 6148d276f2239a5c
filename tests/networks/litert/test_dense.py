"""Our emulators of LiteRT's dense kernels against LiteRT itself: equal in every bit, or not
emulated."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relrob.domain.arrays import Floats
from relrob.domain.network import Network
from relrob.errors import NetworkError
from relrob.networks.litert.dynamic import fused_multiply_add
from relrob.networks.litert.emulate import emulator
from relrob.networks.litert.interpreter import LiteRt, best_batch
from relrob.networks.litert.requantise import away_from_zero, double_rounding, multipliers
from relrob.system.files import sha256_bytes
from tests.make_kernels import Full, Kind, Step, random_dynamic, random_inputs, random_int8, write

RUNTIMES = ("xnnpack", "builtin", "reference")
GOLDEN = Path(__file__).parents[2] / "golden"
Maker = Callable[[np.random.Generator], tuple[bytes, int, int]]


def a_network(data: bytes, inputs: int, classes: int, runtime: str) -> Network:
    """The value of a file that is not on disk."""
    return Network(
        "n.tflite",
        sha256_bytes(data),
        "tflite",
        runtime,
        inputs,
        classes,
        (1, 1, inputs),
        scheme="dynamic",
    )


def same_bits(ours: Floats, theirs: Floats) -> bool:
    """Equal to the last bit; NaN equals NaN."""
    equal = (ours.view(np.uint32) == theirs.view(np.uint32)) | (np.isnan(ours) & np.isnan(theirs))
    return bool(equal.all())


def compared(data: bytes, inputs: int, classes: int, images: Floats) -> int:
    """Compare every runtime, with NumPy's products and with XNNPACK's; how many (runtime, image)
    pairs were emulated."""
    count = 0
    for runtime in RUNTIMES:
        network = a_network(data, inputs, classes, runtime)
        if emulator(network, data) is None:
            continue
        try:
            theirs = LiteRt(network, data, 1, best_batch(network)).outputs(images)
        except (
            NetworkError
        ) as error:  # a scale of weights so hostile that LiteRT runs the file nowhere
            assert "scale_diff" in str(error)
            continue
        for threads in (0, 1):
            found = emulator(network, data, threads)
            assert found is not None
            assert same_bits(found.outputs(images), theirs), (runtime, threads, found.layers)
        count += len(images)
    return count


def random_case(make: Maker, seed: int, count: int) -> int:
    """One random network on random inputs."""
    rng = np.random.default_rng(seed)
    data, inputs, classes = make(rng)
    return compared(data, inputs, classes, random_inputs(rng, count, inputs))


@pytest.mark.parametrize("make", [random_dynamic, random_int8])
def test_random_networks_give_the_bits_of_litert(make: Maker) -> None:
    tally: list[int] = []

    @settings(max_examples=40, derandomize=True, database=None)
    @given(st.integers(0, 2**32))
    def run(seed: int) -> None:
        tally.append(random_case(make, seed, 130))

    run()
    assert sum(tally) > 12_000, "most networks are emulated on all three runtimes"


@pytest.mark.slow
@pytest.mark.parametrize("make", [random_dynamic, random_int8])
def test_very_many_inputs_give_the_bits_of_litert(make: Maker) -> None:
    assert sum(random_case(make, 10_000 + seed, 200) for seed in range(250)) > 120_000


def spread(count: int, start: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Consecutive integers, as the biases of a layer whose inputs are all zero: sums that we
    choose."""
    return np.arange(start, start + count, dtype=np.int32)


@pytest.mark.parametrize(
    ("scale", "start"),
    [
        (0.5, -300),
        (0.25, -600),
        (2.0**-7, -20_000),
        (0.3, -500),
        (3e-5, -(2**21)),
        (1e-7, 2**29),
        (1.75, -80),
        (37.0, -4),
    ],
)
def test_halves_and_saturation_are_rounded_as_litert_does(scale: float, start: int) -> None:
    """Every sum of a range, ties among them, through each rule: one scale a tensor, and one a
    channel."""
    count = 4096 if abs(start) > 4096 else 2 * abs(start) + 1
    weights = np.zeros((count, 3), np.int8)
    images = np.zeros((2, 3), np.float32)
    for scales in (1, count):
        for zero in (-128, 0, 5):
            given_kind, out = Kind(float(np.float32(0.1)), 0), Kind(float(np.float32(0.2)), zero)
            column = np.full(scales, 2 * scale, np.float32)
            layer = Full(weights, spread(count, start), column, relu=False, out=out)
            assert compared(write(3, given_kind, [layer]), 3, count, images) == 6


@pytest.mark.parametrize("seed", range(6))
def test_scales_are_composed_as_each_kernel_does(seed: int) -> None:
    """Large sums just around every threshold: one unit in the last place of a composed scale moves
    some of them across."""
    rng = np.random.default_rng(seed)
    grid = Kind(float(np.float32(rng.uniform(0.001, 0.01))), 0)
    out = Kind(float(np.float32(rng.uniform(0.01, 0.1))), int(rng.integers(-20, 20)))
    scale = np.float32(10.0 ** rng.uniform(-6, -4.5 if seed % 2 else -5.5))
    ratio = grid.scale * float(scale) / out.scale
    near = np.rint((np.arange(-128, 128) + 0.5) / ratio)[:, None] + np.array(
        [-40, -20, -5, -2, -1, 0, 1, 2, 5, 20, 40]
    )
    sums = near[np.abs(near) < 2**30].astype(np.int32)
    weights, images = np.zeros((len(sums), 3), np.int8), np.zeros((2, 3), np.float32)
    for count in (1, len(sums)):
        layer = Full(weights, sums, np.full(count, scale, np.float32), out=out)
        assert compared(write(3, grid, [layer]), 3, len(sums), images) == 6


@pytest.mark.parametrize(("first", "second"), [(3, 49), (11, 98), (49, 103), (7, 187), (1023, 213)])
def test_ties_of_scales_whose_quotient_is_exact_in_one_order(first: int, second: int) -> None:
    grid, scale = Kind(first / 64, 0), np.float32(second / 128)
    weights, images = np.zeros((1001, 3), np.int8), np.zeros((1, 3), np.float32)
    for factor in (2, 8):
        layer = Full(
            weights,
            spread(1001, -500),
            np.full(1, scale),
            out=Kind(first * second / 2**13 * factor),
        )
        assert compared(write(3, grid, [layer]), 3, 1001, images) == 3


def test_the_three_rules_differ_where_they_should() -> None:
    sums = np.arange(-40_000, 40_000, dtype=np.int64)[:, None]
    exact = [Fraction(int(s)) * Fraction(300, 2**16) for s in sums[:, 0]]
    scale = multipliers(np.array([300 / 2**16]))
    once, twice = (
        away_from_zero(sums[:, 0].astype(np.float64) * np.float64(300 / 2**16)),
        double_rounding(sums, scale)[:, 0],
    )
    assert [int(v) for v in once] == [
        int(abs(e) + Fraction(1, 2)) * (1 if e > 0 else -1) for e in exact
    ], "halves away"
    assert 0 < (once != twice).mean() < 0.05
    assert (np.rint(sums[:, 0] * 300 / 2**16) != once).any()
    assert int(multipliers(np.array([1 - 2.0**-40])).exponent[0]) == 1, (
        "a factor that rounds up to 2^31"
    )
    assert int(multipliers(np.array([2.0**-40])).factor[0]) == 0


@pytest.mark.parametrize("columns", [1, 5, 8, 13, 64])
@pytest.mark.parametrize("asymmetric", [False, True])
def test_halves_of_a_row_quantum_are_rounded_as_litert_does(columns: int, asymmetric: bool) -> None:
    """Multiples of half a quantum and their float32 neighbours, in LiteRT's blocks of eight columns
    and after them."""
    rng = np.random.default_rng(columns)
    reach = rng.choice([1.0, 3.0, 63.5, 0.1], (400, 1)).astype(np.float32)
    halves = (rng.integers(-254, 255, (400, columns)).astype(np.float32) / np.float32(254)) * reach
    halves[::3] = np.nextafter(halves[::3], np.float32(9))
    halves[1::3] = np.nextafter(halves[1::3], np.float32(-9))
    halves[:200, :1] = reach[:200]
    halves[2] = 0
    halves[3:9] = np.abs(halves[3:9])
    weights = np.concatenate([np.eye(columns, dtype=np.int8), np.full((2, columns), 127, np.int8)])
    layer = Full(weights, None, np.ones(1, np.float32), asymmetric=asymmetric)
    assert compared(write(columns, Kind(), [layer]), columns, columns + 2, halves) == 1200


def test_sums_beyond_one_float32_product_are_exact() -> None:
    rng = np.random.default_rng(3)
    weights = np.where(rng.random((4, 3072)) < 0.5, np.int8(127), np.int8(-127))
    weights[0] = 127
    images = random_inputs(rng, 60, 3072)
    images[:10] = np.abs(images[:10])
    dynamic = Full(weights, rng.standard_normal(4).astype(np.float32), np.full(4, 0.01, np.float32))
    assert compared(write(3072, Kind(), [dynamic]), 3072, 4, images) == 180
    bias, same = spread(4096, -2048), np.full((4096, 1100), 127, np.int8)
    same[:, 0] = 126
    full = Full(same, bias, np.full(1, 2.0**-19, np.float32), out=Kind(1.0, 0))
    levels = np.full((8, 1100), 127, np.float32)
    levels[:, :2] = np.arange(16, dtype=np.float32).reshape(8, 2)
    assert compared(write(1100, Kind(1.0, 0), [full]), 1100, 4096, levels) == 24


@pytest.mark.parametrize("scale", [0.5, 0.25, 1 / 255, 0.013])
@pytest.mark.parametrize("width", [2, 5, 16])
def test_float_ends_of_integer_files(scale: float, width: int) -> None:
    """QUANTIZE of halves and their neighbours, and DEQUANTIZE, in batches that do and do not fill
    LiteRT's blocks."""
    grid = Kind(float(np.float32(scale)), 3)
    images = (
        np.arange(-260, 260, dtype=np.float32)[:, None] + np.zeros(width, np.float32)
    ) * np.float32(grid.scale / 2)
    images[:, 1:] = np.nextafter(images[:, 1:], np.float32(1e9))
    whole: list[Full | Step] = [Step("quantize", grid), Step("dequantize")]
    for steps in (whole[:1], whole):
        for count in (520, 1, 3, 66):
            assert compared(
                write(width, Kind(), steps), width, width, images[100 : 100 + count]
            ) == 3 * len(images[100 : 100 + count])


@pytest.mark.parametrize("scale", [0.0004, 0.01, 0.11, 1.05, 9.0, 40.0])
@pytest.mark.parametrize("classes", [2, 10, 43])
def test_int8_softmax_keeps_its_ties(scale: float, classes: int) -> None:
    rng = np.random.default_rng(classes)
    levels = np.clip(
        rng.standard_normal((800, classes)) * rng.choice([1, 30, 100], (800, 1)), -128, 127
    )
    levels[:100] = levels[:100, :1]
    levels[100], levels[100, 0] = -128, 127
    grid = Kind(float(np.float32(scale)), 0)
    images = np.rint(levels).astype(np.float32) * np.float32(scale)
    data = write(classes, grid, [Step("softmax", Kind(1 / 256, -128))])
    assert compared(data, classes, classes, images) == 2400


def test_fused_multiply_add_rounds_once() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3000)).astype(np.float32)
    a[:1500] = np.float32(1) + rng.integers(1, 2**12, 1500).astype(np.float32) * np.float32(
        2.0**-23
    )
    b[:1500] = np.float32(2.0**-24)  # half a unit of c, and a little that float64 drops
    c = rng.standard_normal(3000).astype(np.float32)
    c[:1500] = (2.0 ** rng.integers(0, 8, 1500)).astype(np.float32)
    b[:1500] *= c[:1500]
    b[:1500:2] *= np.float32(2.0**-12)
    exact = [
        Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        for x, y, z in zip(a, b, c, strict=True)
    ]
    for ours, truth in zip(fused_multiply_add(a, b, c), exact, strict=True):
        here = abs(Fraction(float(ours)) - truth)
        beside = [Fraction(float(np.nextafter(ours, np.float32(end)))) for end in (-np.inf, np.inf)]
        assert here <= min(abs(other - truth) for other in beside)
    tie, little = (
        np.float32(2.0**-12 + 2.0**-24),
        np.float32(2.0**-12),
    )  # 1 + tie*little: just above a half, lost in float64
    wide = np.float32(1) + np.float32(2.0**-23)
    assert (
        float(
            fused_multiply_add(
                np.array([wide]), np.array([np.float32(2.0**-24)]), np.array([np.float32(1)])
            )[0]
        )
        > 1
    )
    odd = np.float32(1) + np.float32(
        2.0**-23
    )  # odd + 2^-24 (1 - 2^-46): just below a half, which float64 rounds to the half
    below = fused_multiply_add(
        np.array([wide]), np.array([(2 - wide) * np.float32(2.0**-24)]), np.array([odd])
    )
    assert below[0] == odd
    assert (
        float(fused_multiply_add(np.array([tie]), np.array([little]), np.array([np.float32(1)]))[0])
        > 1
    )
