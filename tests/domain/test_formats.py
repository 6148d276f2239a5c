"""Number formats: golden vectors, and definitions with exact fractions and by brute force."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relrob.domain.formats import FixedFormat, nearest, power_levels, uniform
from relrob.errors import UsageError

GOLDEN = [
    ((4, 1), [-5, 5, 0.0625, 0.1875, 0.0626], [-1, 0.875, 0, 0.25, 0.125]),
    ((8, 2), [-5, 5], [-2, 1.984375]),
    ((10, 4), [100, -100, 2**-7], [8 - 2**-6, -8, 0]),
]


@pytest.mark.parametrize(("form", "values", "wanted"), GOLDEN)
def test_golden_vectors_of_fixed_point(
    form: tuple[int, int], values: list[float], wanted: list[float]
) -> None:
    assert FixedFormat(*form).quantised(np.array(values, float)).tolist() == wanted


@given(
    st.integers(2, 32), st.data(), st.lists(st.floats(-600, 600, width=32), min_size=1, max_size=20)
)
def test_fixed_point_is_the_nearest_multiple_in_range(
    width: int, data: st.DataObject, values: list[float]
) -> None:
    """Against Python's own round of fractions, which takes halves to even."""
    point = data.draw(st.integers(1, width))
    form = FixedFormat(width, point)
    for value, found in zip(values, form.quantised(np.array(values)).tolist(), strict=True):
        whole = round(Fraction(value) * 2 ** (width - point))
        code = min(max(whole, -(2 ** (width - 1))), 2 ** (width - 1) - 1)
        assert Fraction(found) == Fraction(code, 2 ** (width - point))


@pytest.mark.parametrize(("width", "point"), [(1, 1), (33, 4), (8, 0), (8, 9)])
def test_other_formats_are_refused(width: int, point: int) -> None:
    with pytest.raises(UsageError, match="fixed point of"):
        FixedFormat(width, point)


def test_golden_levels_of_powers_of_two() -> None:
    exact = {
        2: "0 1/4 1/2 1",
        3: "0 1/10 1/5 3/10 2/5 3/5 4/5 1",
        4: "0 1/48 1/24 1/16 1/12 1/8 1/6 3/16 1/4 1/3 3/8 1/2 2/3 11/16 3/4 1",
    }
    for bits, text in exact.items():
        wanted = [float(Fraction(part)) for part in text.split()]
        assert power_levels(bits) == pytest.approx(wanted, abs=1e-15)
    assert power_levels(1).tolist() == [0, 1]
    with pytest.raises(UsageError, match="5 bits"):
        power_levels(5)


@pytest.mark.parametrize("bits", [2, 4])
def test_levels_follow_the_general_formula_of_the_paper(bits: int) -> None:
    """Li et al. 2020, equation 5: base 2, n = bits/2 terms of {0, 2^-i, 2^-(i+n), 2^-(i+2n)}."""
    count = bits // 2
    terms = [
        [Fraction(0), *(Fraction(1, 2 ** (i + step * count)) for step in range(3))]
        for i in range(count)
    ]
    sums = sorted({sum(chosen, Fraction(0)) for chosen in product(*terms)})
    assert power_levels(bits) == pytest.approx([float(s / sums[-1]) for s in sums], abs=1e-15)


def test_golden_levels_of_dorefa() -> None:
    assert uniform(np.array([0.5]), 2)[0] == 2 / 3
    assert uniform(np.array([0, 0.49, 0.5, 0.51, 1]), 1).tolist() == [0, 0, 0, 1, 1]


@given(st.integers(1, 4), st.lists(st.floats(0, 1.5), min_size=1, max_size=30))
def test_nearest_is_nearest(bits: int, values: list[float]) -> None:
    levels = power_levels(bits)
    for value, found in zip(values, nearest(np.array(values), levels).tolist(), strict=True):
        assert abs(found - value) == pytest.approx(np.abs(levels - value).min(), abs=1e-12)
