"""The roundings behind the kernels against exact fractions and Python integers, at their ties and
at their ends."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from relrob.domain.arrays import Floats
from relrob.networks.exact_dot import ExactDot
from relrob.networks.litert import softmax as litert_softmax
from relrob.networks.litert.dynamic import fused_multiply_add, qd8, shifted, symmetric
from relrob.networks.litert.layers import Grid, Int8Full
from relrob.networks.litert.requantise import (
    away_from_zero,
    double_rounding,
    multipliers,
    output_scales,
    quantise,
)
from relrob.networks.litert.softmax import exponential, reciprocal
from relrob.networks.onnx.steps import Codes, Dequantise, Quantise

ROWS = arrays(
    np.float32,
    (3, 19),
    elements=st.floats(-100, 100, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6),
)


def half_up(value: Fraction) -> int:
    """floor(value + 1/2)."""
    return math.floor(value + Fraction(1, 2))


@pytest.mark.parametrize(
    ("scale", "factor", "exponent"),
    [
        (0.5, 2**30, 0),
        (1.0, 2**30, 1),
        (0.75, 3 * 2**29, 0),
        (1 - 2**-33, 2**30, 1),  # the factor rounds up to 2^31
        (0.5 + 2**-32, 2**30 + 1, 0),  # a half, away from zero
        (2.0**-32, 2**30, -31),
        (2.0**-33, 0, 0),  # too small for 31 bits
        (0.0, 0, 0),
    ],
)
def test_multipliers_at_their_ends(scale: float, factor: int, exponent: int) -> None:
    found = multipliers(np.array([scale]))
    assert (int(found.factor[0]), int(found.exponent[0])) == (factor, exponent)


@given(
    st.builds(lambda part, power: part * 2.0**power, st.floats(0.5, 1.0), st.integers(-24, 3)),
    st.lists(st.integers(-(2**24), 2**24), min_size=1, max_size=6),
)
@settings(max_examples=60, derandomize=True)
def test_double_rounding_is_gemmlowps_two_shifts(scale: float, sums: list[int]) -> None:
    """In Python integers: a doubling high product, then a shift, each with its own halves."""
    held = multipliers(np.array([scale]))
    factor, exponent = int(held.factor[0]), int(held.exponent[0])
    expected = []
    for value in sums:
        high = half_up(Fraction((value << max(exponent, 0)) * factor, 2**31))
        expected.append(half_up(Fraction(high, 2 ** max(-exponent, 0))))
        assert (
            abs(Fraction(expected[-1]) - value * Fraction(scale))
            <= 1 + abs(value) * Fraction(scale) / 2**30
        )
    assert double_rounding(np.array(sums)[:, None], held)[:, 0].tolist() == expected


@given(st.integers(-(2**30), 2**30), st.integers(0, 20))
@settings(max_examples=60, derandomize=True)
def test_halves_go_away_from_zero(value: int, bits: int) -> None:
    expected = Decimal(value) / Decimal(2**bits)
    found = away_from_zero(np.array([value / 2**bits]))
    assert int(found[0]) == int(expected.quantize(Decimal(1), ROUND_HALF_UP))


@pytest.mark.parametrize("zero", [-128, 0, 5, 127])
@pytest.mark.parametrize(
    ("runtime", "rule"), [("reference", ROUND_HALF_UP), ("xnnpack", ROUND_HALF_EVEN)]
)
def test_quantise_rounds_by_its_rule_and_stays_in_8_bits(
    runtime: str, rule: str, zero: int
) -> None:
    values = (np.arange(-700, 701) / 8).astype(np.float32)
    expected = [int((Decimal(float(v)) * 4).quantize(Decimal(1), rule)) + zero for v in values]
    found = quantise(values, Grid(0.25, zero), runtime)
    assert found.tolist() == [min(max(v, -128), 127) for v in expected]
    assert found.dtype == np.float32


def test_a_scale_is_composed_in_the_precision_of_its_kernel() -> None:
    """One weight scale: `builtin` multiplies in float32 and divides in float64; several: float64
    throughout."""
    given_, out = Grid(float(np.float32(0.1)), 0), Grid(float(np.float32(0.3)), 0)
    for scales in ([0.7], [0.7, 0.9, 0.011]):
        held = np.array(scales, np.float32)
        layer = Int8Full(
            np.ones((2, len(held)), np.int8),
            np.zeros(len(held), np.int32),
            held,
            False,
            given_,
            out,
        )
        wide = np.float64(given_.scale32) * held.astype(np.float64) / np.float64(out.scale32)
        narrow = (np.float32(given_.scale32) * held) / out.scale32
        assert output_scales(layer, "reference").tolist() == wide.tolist()
        assert output_scales(layer, "xnnpack").tolist() == narrow.tolist()
        mixed = (given_.scale32 * held).astype(np.float64) / np.float64(out.scale32)
        assert (
            output_scales(layer, "builtin").tolist() == (mixed if len(held) == 1 else wide).tolist()
        )
        assert output_scales(layer, "xnnpack").dtype == np.float32


def nearest32(exact: Fraction) -> float:
    """The float32 nearest to a fraction of normal size, ties to even, by integer arithmetic."""
    if exact == 0:
        return 0.0
    top = math.frexp(float(abs(exact)))[1]
    for exponent in (
        top - 1,
        top,
        top + 1,
    ):  # the float64 quotient may have rounded up to a power of two
        if Fraction(2) ** (exponent - 1) <= abs(exact) < Fraction(2) ** exponent:
            unit = Fraction(2) ** (exponent - 24)
            return float(round(exact / unit) * unit)
    raise AssertionError(exact)


SMALL = st.integers(-(2**24), 2**24)


@given(SMALL, SMALL, SMALL, st.integers(-30, 30))
@settings(max_examples=150, derandomize=True)
def test_fused_multiply_add_is_the_nearest_float32(a: int, b: int, c: int, shift: int) -> None:
    one, two, three = np.float32(a), np.float32(b * 2.0**-24), np.float32(c * 2.0**shift)
    exact = Fraction(float(one)) * Fraction(float(two)) + Fraction(float(three))
    assert float(
        fused_multiply_add(np.array([one]), np.array([two]), np.array([three]))[0]
    ) == nearest32(exact)


@pytest.mark.parametrize(
    ("rest", "expected"), [(2.0**-40, 2**24 + 2), (0.0, 2**24), (-(2.0**-40), 2**24)]
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_tie_that_float64_makes_is_no_tie(rest: float, expected: int, sign: int) -> None:
    """97 * 172961 is 2^24 + 1, half-way between two float32 numbers; what is added is lost in
    float64."""
    found = fused_multiply_add(
        np.array([97], np.float32),
        np.array([172961 * sign], np.float32),
        np.array([rest * sign], np.float32),
    )
    assert found.tolist() == [expected * sign]


@given(ROWS)
@settings(max_examples=60, derandomize=True)
def test_rows_stand_for_their_values_to_half_a_quantum(values: Floats) -> None:
    for rule, low, steps in ((symmetric, -127, 254), (shifted, -128, 255), (qd8, -128, 255)):
        codes, zero, scales = rule(values.copy())
        assert (codes == np.trunc(codes)).all() and codes.min() >= low and codes.max() <= 127
        points = np.zeros((3, 1)) if zero is None else zero.astype(np.float64)
        assert (points == np.trunc(points)).all() and points.min() >= -128 and points.max() <= 127
        wide = scales.astype(np.float64)[:, None]
        off = np.abs((codes.astype(np.float64) - points) * wide - values)
        assert (off <= wide * (0.5 + (0.5 if zero is not None else 0)) * 1.0001).all(), (
            rule.__name__
        )
        reach = (
            np.abs(values).max(axis=1) * 2
            if zero is None
            else np.ptp(np.c_[values, np.zeros(3)], axis=1)
        )
        assert np.allclose(scales[reach > 0], reach[reach > 0] / steps, rtol=1e-5)
        assert (scales[reach == 0] == 1).all()


@pytest.mark.parametrize(
    ("row", "codes", "zero"),
    [
        ([0.0, 255.0], [-128, 127], -128),
        ([-255.0, 0.0], [-128, 127], 127),
        ([-127.0, 128.0], [-128, 127], -1),
        ([51.0, 255.0], [-77, 127], -128),  # 0 is always in the range
    ],
)
def test_zero_points_of_rows(row: list[float], codes: list[int], zero: int) -> None:
    for rule in (shifted, qd8):
        found, points, _ = rule(np.array([row], np.float32))
        assert points is not None
        assert (found[0].tolist(), float(points[0, 0])) == (codes, zero)


def test_gemmlowps_exponential_and_reciprocal_are_near_the_real_ones() -> None:
    values = -np.arange(0, 31 << 26, 9_999_991, dtype=np.int64)
    real = np.exp(values / 2.0**26) * 2.0**31
    assert np.abs(exponential(values) - real).max() < 2**31 * 3e-7
    assert int(exponential(np.array([0]))[0]) == 2**31 - 1
    assert [round(math.exp(-(2.0**k)) * 2**31) for k in range(-2, 5)] == list(
        litert_softmax._POWERS
    )
    sums = np.concatenate(
        [np.arange(1 << 19, 1 << 24, 98_765), [(1 << 19) + 1, 1 << 20, (1 << 20) - 1]]
    )
    share, bits = reciprocal(sums)
    assert np.abs(share / 2.0**31 * 2.0**-bits * (sums / 2.0**19) - 1).max() < 1e-6
    assert (share >= 0).all() and share.max() <= 2**31 - 1


@pytest.mark.parametrize(
    ("least", "most", "point"), [(0, 255, 0), (0, 255, 128), (-128, 127, 0), (-128, 127, -128)]
)
def test_onnx_codes_round_half_to_even_between_their_ends(
    least: int, most: int, point: int
) -> None:
    codes = Codes(np.float32(0.5), point, least, most)
    assert (codes.low, codes.high) == (least - point, most - point)
    values = (np.arange(-1200, 1201) / 8).astype(np.float32)
    expected = [
        min(max(round(Fraction(float(v)) * 2), least - point), most - point) for v in values
    ]
    assert Quantise(codes).apply(values).tolist() == expected
    assert Quantise(codes).apply(np.array([np.inf, -np.inf, 3e38], np.float32)).tolist() == [
        codes.high,
        codes.low,
        codes.high,
    ]
    back = Dequantise(np.float32(0.5), shift=3).apply(np.array([-3.0, 4.0, -0.0], np.float32))
    assert back.tolist() == [0.0, 3.5, 1.5]
    assert not np.signbit(back[0])


@given(
    arrays(np.int64, (5, 3), elements=st.integers(-9, 9)),
    arrays(np.int64, 3, elements=st.integers(-20, 20)),
    st.integers(-8, 0),
    st.integers(0, 8),
)
@settings(max_examples=40, derandomize=True)
def test_the_range_of_an_exact_product_is_attained(
    weights: Floats, bias: Floats, low: int, high: int
) -> None:
    """`lowest` and `highest` are met by the corner of the box that the signs of the weights
    name."""
    dot = ExactDot(weights, bias, low, high)  # type: ignore[arg-type]
    top = [sum(int(w) * (high if w > 0 else low) for w in column) for column in weights.T]
    bottom = [sum(int(w) * (low if w > 0 else high) for w in column) for column in weights.T]
    assert dot.highest.tolist() == [t + int(b) for t, b in zip(top, bias, strict=True)]
    assert dot.lowest.tolist() == [t + int(b) for t, b in zip(bottom, bias, strict=True)]
    assert dot.limit == max(0, *(-dot.lowest).tolist(), *dot.highest.tolist())
